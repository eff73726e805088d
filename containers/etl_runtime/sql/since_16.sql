CREATE FUNCTION scrub.is_valid(value text, type text) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
RETURN pg_input_is_valid(value, type);
