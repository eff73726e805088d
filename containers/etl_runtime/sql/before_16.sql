-- What pg_input_is_valid says since Postgres 16. No parallel worker can catch an error before 17.
CREATE FUNCTION scrub.is_valid(value text, type text) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED AS $$
BEGIN
    IF type = 'inet' THEN PERFORM value::inet; ELSE PERFORM value::uuid; END IF;
    RETURN true;
EXCEPTION WHEN invalid_text_representation THEN
    RETURN false;
END
$$;
