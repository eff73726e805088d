-- Services as published, and every earlier version of them: most of the bytes, and nothing about a person.

CREATE FUNCTION sample_generator.service(n bigint, version bigint) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_build_object(
    'serviceName', 'Sample service ' || n, 'version', version,
    'lot', sample_generator.pick(n, 400, '{cloud-hosting,cloud-software,cloud-support}'),
    'serviceSummary',
        sample_generator.sentence(n * 64 + version, 401) || ' ' || sample_generator.sentence(n * 64 + version, 404),
    'serviceFeatures', jsonb_build_array(
        sample_generator.sentence(n * 64 + version, 407), sample_generator.sentence(n * 64 + version, 410),
        sample_generator.sentence(n * 64 + version, 413), sample_generator.sentence(n * 64 + version, 416)),
    'serviceBenefits', jsonb_build_array(
        sample_generator.sentence(n * 64 + version, 419), sample_generator.sentence(n * 64 + version, 422),
        sample_generator.sentence(n * 64 + version, 425)),
    'price', jsonb_build_object('min', 10 + n % 90, 'max', 100 + version, 'unit', 'Unit', 'interval', 'Month'),
    'support', jsonb_build_object(
        'email', n % 2 = 0, 'phone', true, 'hours', '9 to 5', 'level', sample_generator.pick(n, 428, '{a,b}')),
    'certifications', jsonb_build_array('ISO 27001 (synthetic)', 'Cyber Essentials (synthetic)'),
    'dataCentre', sample_generator.hex(n * 64 + version, 429), 'openStandards', true, 'apiAccess', n % 3 = 0,
    'trialOption', NULL, 'educationPricing', n % 5 = 0
);

CREATE TABLE public.services (
    id           bigint NOT NULL,
    service_id   text NOT NULL,
    supplier_id  bigint NOT NULL,
    framework_id integer NOT NULL,
    status       text NOT NULL DEFAULT 'published',
    data         jsonb NOT NULL,
    updated_at   timestamptz NOT NULL,
    CONSTRAINT data_has_a_name CHECK (data ? 'serviceName')
);

INSERT INTO public.services
SELECT n, lpad((100000000000000 + n)::text, 15, '0'), 1 + number(n, 430, scaled(2000)), 1 + n % 12,
    CASE n % 9 WHEN 0 THEN 'disabled' ELSE 'published' END, service(n, 0), moment(n, 431)
FROM generate_series(1, scaled(4000)) AS n;

CREATE TABLE public.service_revisions (
    id          bigint NOT NULL,
    service_id  bigint NOT NULL,
    data        jsonb NOT NULL,
    created_at  timestamptz NOT NULL
);

INSERT INTO public.service_revisions
SELECT n, 1 + (n - 1) % scaled(4000), service(1 + (n - 1) % scaled(4000), 1 + (n - 1) / scaled(4000)),
    timestamptz '2023-01-01 00:00:00+00' + n * interval '20 minutes'
FROM generate_series(1, scaled(26000)) AS n;

ALTER TABLE public.services ADD PRIMARY KEY (id);
ALTER TABLE public.services ADD CONSTRAINT services_service_id_key UNIQUE (service_id);
CREATE INDEX services_data_idx ON public.services USING gin (data jsonb_path_ops);
CREATE INDEX services_supplier_id_idx ON public.services (supplier_id);
CREATE INDEX services_name_idx ON public.services ((data ->> 'serviceName')) WHERE status = 'published';
ALTER TABLE public.service_revisions ADD PRIMARY KEY (id);
CREATE INDEX service_revisions_service_id_idx ON public.service_revisions (service_id);
CREATE INDEX service_revisions_created_at_idx ON public.service_revisions
    USING brin (created_at) WITH (pages_per_range = 32);
