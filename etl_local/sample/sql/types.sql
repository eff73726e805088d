-- Types, schemas and sequences of the marketplace.

CREATE SCHEMA reporting;

CREATE DOMAIN public.email_address AS text
    CONSTRAINT has_one_at_sign CHECK (VALUE ~ '^[^@[:space:]]+@[^@[:space:]]+$' AND length(VALUE) <= 254);

CREATE TYPE public.user_role AS ENUM ('buyer', 'supplier', 'admin', 'admin-ccs-category');
CREATE TYPE public.brief_status AS ENUM ('draft', 'live', 'closed', 'awarded', 'withdrawn');
CREATE TYPE public.postal_address AS (street text, town text, postcode text);

-- Used by a default and owned by no column.
CREATE SEQUENCE public.brief_reference START WITH 20000 INCREMENT BY 7 CACHE 5;
CREATE SEQUENCE public.login_attempts_number;

-- Used by a generated column, a trigger and the cleaning rules alike, so that all three agree.
CREATE FUNCTION public.user_search(name text, email_address text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT pg_catalog.setweight(pg_catalog.to_tsvector('pg_catalog.simple', coalesce(name, '')), 'A')
        || pg_catalog.setweight(pg_catalog.to_tsvector('pg_catalog.simple', coalesce(email_address, '')), 'B')
$$;
