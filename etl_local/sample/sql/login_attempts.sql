-- Log-in attempts: a table partitioned by time, one of its partitions by hash again, and one for all that fits nowhere.

CREATE TABLE public.login_attempts (
    id            bigint NOT NULL DEFAULT nextval('public.login_attempts_number'),
    attempted_at  timestamptz NOT NULL,
    user_id       bigint NOT NULL,
    email_address text NOT NULL,
    ip            inet NOT NULL,
    succeeded     boolean NOT NULL,
    user_agent    text
) PARTITION BY RANGE (attempted_at);

CREATE TABLE public.login_attempts_2023 PARTITION OF public.login_attempts
    FOR VALUES FROM (MINVALUE) TO ('2024-01-01 00:00:00+00');
CREATE TABLE public.login_attempts_2024 PARTITION OF public.login_attempts
    FOR VALUES FROM ('2024-01-01 00:00:00+00') TO ('2025-01-01 00:00:00+00') PARTITION BY HASH (user_id);
CREATE TABLE public.login_attempts_2024_even PARTITION OF public.login_attempts_2024
    FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE public.login_attempts_2024_odd PARTITION OF public.login_attempts_2024
    FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE public.login_attempts_later PARTITION OF public.login_attempts DEFAULT;

INSERT INTO public.login_attempts (attempted_at, user_id, email_address, ip, succeeded, user_agent)
SELECT
    moment(n, 60), u,
    CASE WHEN n % 6 = 0 THEN initcap(email(u)) ELSE email(u) END,
    ip(n + 7), n % 5 <> 0,
    CASE WHEN n % 13 <> 0 THEN pick(n, 61, '{Mozilla/5.0 (Synthetic),curl/8.0 (Synthetic),Mobile/1.0 (Synthetic)}') END
FROM generate_series(1, scaled(12000)) AS n, LATERAL (SELECT 1 + number(n, 62, scaled(7500))) AS a (u);

ALTER TABLE public.login_attempts ADD PRIMARY KEY (id, attempted_at, user_id);
CREATE INDEX login_attempts_attempted_at_idx ON public.login_attempts USING brin (attempted_at);
CREATE INDEX login_attempts_failed_idx ON public.login_attempts (email_address) WHERE NOT succeeded;
