-- Who did what, when: the bulk of the personal data. Every event has its author and the client's address; those of some
-- kinds hold people in their data as well.

CREATE TABLE public.audit_events (
    id              bigserial,
    type            text NOT NULL,
    created_at      timestamptz NOT NULL,
    "user"          text,
    object_type     text,
    object_id       bigint,
    data            jsonb NOT NULL,
    acknowledged_at timestamptz,
    acknowledged_by text
);

INSERT INTO public.audit_events (
    type, created_at, "user", object_type, object_id, data, acknowledged_at, acknowledged_by
)
SELECT
    kind, timestamptz '2023-01-01 00:00:00+00' + n * interval '10 minutes',
    CASE
        WHEN n % 10 = 0 THEN 'job-' || n % 7 || '@service.example'
        WHEN n % 4 = 0 THEN initcap(email(u))
        ELSE email(u)
    END,
    CASE WHEN n % 8 < 4 THEN 'services' WHEN n % 8 < 6 THEN 'users' ELSE 'suppliers' END,
    1 + number(n, 500, scaled(2000)),
    jsonb_build_object('client', jsonb_build_object('ip', host(ip(n)), 'requestId', hex(n, 501)))
        || CASE kind
            WHEN 'update_service' THEN jsonb_build_object(
                'supplierId', number(n, 502, 3000), 'oldArchivedServiceId', n, 'newArchivedServiceId', n + 1,
                'summary', jsonb_build_object('from', sentence(n, 503), 'to', sentence(n, 506)))
            WHEN 'contact_update' THEN jsonb_build_object(
                'from', jsonb_build_object('contactName', person(u), 'emailAddress', email(u), 'phoneNumber', phone(u)),
                'to', jsonb_build_object(
                    'contactName', person(u + 1), 'emailAddress', email(u + 1), 'phoneNumber', phone(u + 1)))
            WHEN 'invite_user' THEN jsonb_build_object(
                'invited', jsonb_build_array(
                    jsonb_build_object('emailAddress', email(u), 'role', 'supplier'),
                    jsonb_build_object('emailAddress', email(u + 2), 'role', 'buyer')))
            WHEN 'user_auth_failed' THEN jsonb_build_object('emailAddress', email(u), 'count', 1 + n % 4)
            ELSE jsonb_build_object(
                'frameworkSlug', 'sample-cloud-' || 1 + n % 12,
                'update', jsonb_build_object('status', sentence(n, 509)))
        END,
    CASE WHEN n % 20 = 0 THEN moment(n, 512) END,
    CASE WHEN n % 20 = 0 THEN email(u + 5) END
FROM generate_series(1, scaled(20000)) AS n,
    LATERAL (SELECT 1 + number(n, 513, scaled(7500)),
        pick(n, 514, '{update_service,update_service,update_service,framework_update,framework_update,contact_update,
invite_user,user_auth_failed}')
    ) AS a (u, kind);

ALTER TABLE public.audit_events ADD PRIMARY KEY (id);
CREATE INDEX audit_events_object_idx ON public.audit_events (object_type, object_id);
CREATE INDEX audit_events_unacknowledged_idx ON public.audit_events (type, created_at) WHERE acknowledged_at IS NULL;
CREATE INDEX audit_events_created_at_idx ON public.audit_events USING brin (created_at);
