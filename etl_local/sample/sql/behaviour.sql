-- What happens by itself: triggers, views, a materialized view; and what people wrote beside it.

CREATE FUNCTION public.set_user_search() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.search := public.user_search(NEW.name, NEW.email_address::text);
    RETURN NEW;
END
$$;
CREATE TRIGGER users_search BEFORE INSERT OR UPDATE OF name, email_address ON public.users
    FOR EACH ROW EXECUTE FUNCTION public.set_user_search();

CREATE FUNCTION public.set_supplier_search() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.search := to_tsvector('pg_catalog.simple', NEW.name || ' ' || NEW.description);
    RETURN NEW;
END
$$;
CREATE TRIGGER suppliers_search BEFORE INSERT OR UPDATE ON public.suppliers
    FOR EACH ROW EXECUTE FUNCTION public.set_supplier_search();

CREATE FUNCTION public.count_words(document text) RETURNS integer LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN pg_catalog.cardinality(pg_catalog.regexp_split_to_array(pg_catalog.btrim(document), '\s+'));
END
$$;
CREATE INDEX briefs_summary_words_idx ON public.briefs (public.count_words(data ->> 'summary'));

CREATE PROCEDURE public.withdraw_stale_briefs(before timestamptz) LANGUAGE sql AS $$
    UPDATE public.briefs SET status = 'withdrawn' WHERE status = 'live' AND published_at < before;
$$;

CREATE VIEW public.active_people WITH (security_barrier) AS
    SELECT u.id, u.name, u.email_address, s.name AS supplier
    FROM public.users AS u LEFT JOIN public.suppliers AS s ON s.id = u.supplier_id
    WHERE u.active;

CREATE MATERIALIZED VIEW reporting.supplier_totals AS
    SELECT s.id, s.name, count(DISTINCT f.framework_id) AS frameworks, count(DISTINCT v.id) AS services
    FROM public.suppliers AS s
    LEFT JOIN public.supplier_frameworks AS f ON f.supplier_id = s.id
    LEFT JOIN public.services AS v ON v.supplier_id = s.id
    GROUP BY s.id;
CREATE UNIQUE INDEX supplier_totals_id_idx ON reporting.supplier_totals (id);

COMMENT ON SCHEMA reporting IS 'For the analysts; nothing personal';
COMMENT ON TABLE public.users IS 'Everyone who can log in';
COMMENT ON COLUMN public.users.notes IS 'What the help desk wrote: may hold anything';
COMMENT ON COLUMN public."Order"."Buyer Name" IS 'As it was when the order was made; it''s not kept in step';
COMMENT ON TYPE public.postal_address IS 'One line, a town and a postcode';
COMMENT ON CONSTRAINT drafts_are_unpublished ON public.briefs IS E'Two lines:\nthis is the second';
