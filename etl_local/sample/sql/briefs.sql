-- Briefs that buyers publish, who works on them, the questions and responses, and the orders that follow.

CREATE TABLE public.briefs (
    id                  bigint NOT NULL,
    reference           text NOT NULL DEFAULT 'BR-' || nextval('public.brief_reference'),
    framework_id        integer NOT NULL,
    status              public.brief_status NOT NULL DEFAULT 'draft',
    data                jsonb NOT NULL,
    copied_from         bigint,
    awarded_response_id bigint,
    created_at          timestamptz NOT NULL,
    published_at        timestamptz,
    CONSTRAINT drafts_are_unpublished CHECK ((status = 'draft') = (published_at IS NULL))
);

INSERT INTO public.briefs (id, framework_id, status, data, copied_from, created_at, published_at)
SELECT
    n, 8 + n % 3,
    (ARRAY['draft', 'live', 'closed', 'awarded', 'withdrawn'])[1 + n % 5]::public.brief_status,
    jsonb_build_object(
        'title', initcap(pick(n, 300, '{developer,designer,researcher,delivery manager}')) || ' for project ' || n,
        'organisation', pick(n, 301, '{Ministry of Samples,Example Council,Department for Testing}'),
        'summary', sentence(n, 302) || ' ' || sentence(n, 305),
        'contact', jsonb_build_object('name', person(buyer), 'email', email(buyer), 'phone', phone(buyer)),
        'location', pick(n, 308, '{North,South,Offsite}'), 'budgetRange', 1000 * (1 + n % 90),
        'essentialRequirements', jsonb_build_array(sentence(n, 309), sentence(n, 312)),
        'requirementsLength', '2 weeks'),
    CASE WHEN n % 50 = 1 AND n > 1 THEN n - 1 END,
    moment(n, 315), CASE WHEN n % 5 <> 0 THEN moment(n, 315) + interval '2 days' END
FROM generate_series(1, scaled(1200)) AS n, LATERAL (SELECT 3 * (1 + number(n, 316, scaled(7500) / 3))) AS a (buyer);

CREATE TABLE public.brief_users (
    brief_id bigint NOT NULL,
    user_id  bigint NOT NULL,
    "primary" boolean NOT NULL DEFAULT false
);

INSERT INTO public.brief_users
SELECT n, 3 * (1 + number(n, 316, scaled(7500) / 3)), true FROM generate_series(1, scaled(1200)) AS n;

CREATE TABLE public.brief_clarification_questions (
    id       bigint NOT NULL,
    brief_id bigint NOT NULL,
    question text NOT NULL,
    answer   text
);

INSERT INTO public.brief_clarification_questions
SELECT n, 1 + number(n, 320, scaled(1200)), sentence(n, 321) || ' Is that so, asks ' || person(n + 4000000) || '?',
    CASE WHEN n % 3 <> 0 THEN sentence(n, 324) || ' Write to ' || email(n + 4000000) || '.' END
FROM generate_series(1, scaled(2000)) AS n;

CREATE TABLE public.brief_responses (
    id           bigint NOT NULL,
    brief_id     bigint NOT NULL,
    supplier_id  bigint NOT NULL,
    responder_id bigint,
    data         jsonb NOT NULL,
    submitted_at timestamptz
);

-- The evidence names the person who responds, in running text.
INSERT INTO public.brief_responses
SELECT
    n, 1 + number(n, 330, scaled(1200)), 1 + number(n, 331, scaled(2000)), u,
    jsonb_build_object(
        'respondToEmailAddress', email(u), 'availability', '2025-0' || 1 + n % 9 || '-01',
        'dayRate', (300 + n % 500)::text,
        'specialist', jsonb_build_object(
            'name', person(n + 5000000), 'phones', jsonb_build_array(phone(n), phone(n + 5000000))),
        'essentialRequirementsMet', true,
        'essentialRequirements', jsonb_build_array(
            jsonb_build_object('evidence', sentence(n, 332) || ' ' || person(u) || ' led it.'),
            jsonb_build_object('evidence', person(u) || ' says: ' || sentence(n, 335)))),
    CASE WHEN n % 6 <> 0 THEN moment(n, 338) END
FROM generate_series(1, scaled(2500)) AS n, LATERAL (SELECT 1 + number(n, 339, scaled(7500))) AS a (u);

-- Names that SQL knows as words, and capitals.
CREATE TABLE public."Order" (
    "Id"          integer NOT NULL,
    "user"        bigint NOT NULL,
    "Buyer Name"  text NOT NULL,
    "Buyer Email" text NOT NULL,
    "select"      text,
    "order"       integer NOT NULL CHECK ("order" > 0),
    "Unit Price"  numeric(10, 2) NOT NULL,
    "Total"       numeric GENERATED ALWAYS AS ("order" * "Unit Price") STORED,
    "Card ""last4""" char(4)
);

INSERT INTO public."Order" (
    "Id", "user", "Buyer Name", "Buyer Email", "select", "order", "Unit Price", "Card ""last4"""
)
SELECT n, u, person(u), email(u), pick(n, 341, '{standard,express,"pick, pack"}'), 1 + n % 20,
    (100 + number(n, 342, 90000)) / 100.0,
    CASE WHEN n % 3 = 0 THEN lpad((n % 10000)::text, 4, '0') END
FROM generate_series(1, scaled(2000)) AS n, LATERAL (SELECT 3 * (1 + number(n, 340, scaled(7500) / 3))) AS a (u);

ALTER TABLE public.briefs ADD PRIMARY KEY (id);
ALTER TABLE public.briefs ADD CONSTRAINT briefs_reference_key UNIQUE (reference);
CREATE INDEX briefs_data_idx ON public.briefs USING gin (data jsonb_path_ops);
CREATE INDEX briefs_title_idx ON public.briefs (lower(data ->> 'title'));
CREATE INDEX briefs_copied_from_idx ON public.briefs (copied_from);
CREATE INDEX briefs_awarded_response_id_idx ON public.briefs (awarded_response_id);
ALTER TABLE public.brief_users ADD PRIMARY KEY (brief_id, user_id);
CREATE INDEX brief_users_user_id_idx ON public.brief_users (user_id);
ALTER TABLE public.brief_clarification_questions ADD PRIMARY KEY (id);
CREATE INDEX brief_clarification_questions_brief_id_idx ON public.brief_clarification_questions (brief_id);
ALTER TABLE public.brief_responses ADD PRIMARY KEY (id);
CREATE INDEX brief_responses_brief_id_idx ON public.brief_responses (brief_id, submitted_at DESC);
CREATE INDEX brief_responses_responder_id_idx ON public.brief_responses (responder_id);
ALTER TABLE public."Order" ADD CONSTRAINT "Order ""Id"" key" PRIMARY KEY ("Id");
CREATE INDEX "Order by user" ON public."Order" ("user", "select");

-- An award refers to a response, which refers to the brief: a circle, closed once both are there.
UPDATE public.briefs AS b
SET awarded_response_id = r.id
FROM (SELECT brief_id, min(id) AS id FROM public.brief_responses GROUP BY brief_id) AS r
WHERE r.brief_id = b.id AND b.status = 'awarded';
