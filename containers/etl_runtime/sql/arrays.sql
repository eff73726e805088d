-- The functions from text to text by name, for what arrays and documents hold.

-- The name that scrub.apply knows a function by, with or without `scrub.` in front. An unknown one raises, when the
-- statement is planned, so a misspelt rule stops a run even where no row would have needed it.
CREATE FUNCTION scrub.function_name(name text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    bare text := regexp_replace(name, '^scrub[.]', '');
BEGIN
    IF bare IN ('address', 'card_number', 'company', 'digits', 'email', 'iban', 'ip', 'person_name',
                'person_name_unique', 'phone', 'phone_unique', 'postcode', 'redact', 'text', 'token', 'url', 'uuid') THEN
        RETURN bare;
    END IF;
    RAISE EXCEPTION 'scrub has no function % from text to text', coalesce(quote_literal(name), 'NULL')
        USING ERRCODE = 'undefined_function';
END
$$;

-- Call one of these functions. Nothing is executed by name, so a rule can reach no other. One expression, so that the
-- choice is made by the executor and not statement by statement.
CREATE FUNCTION scrub.apply(bare_name text, value text) RETURNS text
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
BEGIN
    RETURN CASE bare_name
        WHEN 'email' THEN scrub.email(value)
        WHEN 'person_name' THEN scrub.person_name(value)
        WHEN 'phone' THEN scrub.phone(value)
        WHEN 'text' THEN scrub.text(value)
        WHEN 'ip' THEN CASE
            WHEN scrub.is_valid(value, 'inet') THEN abbrev(scrub.ip(value::inet)) ELSE scrub.token(value, 32)
        END
        WHEN 'token' THEN scrub.token(value, 32)
        WHEN 'redact' THEN CASE WHEN octet_length(value) = 0 THEN '' ELSE 'redacted' END
        WHEN 'address' THEN scrub.address(value)
        WHEN 'postcode' THEN scrub.postcode(value)
        WHEN 'company' THEN scrub.company(value)
        WHEN 'url' THEN scrub.url(value)
        WHEN 'uuid' THEN CASE
            WHEN scrub.is_valid(value, 'uuid') THEN scrub.uuid(value::uuid)::text ELSE scrub.token(value, 32)
        END
        WHEN 'digits' THEN scrub.digits(value)
        WHEN 'card_number' THEN scrub.card_number(value)
        WHEN 'iban' THEN scrub.iban(value)
        WHEN 'person_name_unique' THEN scrub.person_name_unique(value)
        WHEN 'phone_unique' THEN scrub.phone_unique(value)
    END;
END
$$;

CREATE FUNCTION scrub.each_of(elements text[], bare_name text) RETURNS text[]
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
BEGIN
    IF array_ndims(elements) > 2 THEN
        RAISE EXCEPTION 'scrub.each takes an array of one or two dimensions' USING ERRCODE = 'array_subscript_error';
    END IF;
    FOR row IN coalesce(array_lower(elements, 1), 1) .. coalesce(array_upper(elements, 1), 0) LOOP
        IF array_ndims(elements) = 1 THEN
            elements[row] := scrub.apply(bare_name, elements[row]);
            CONTINUE;
        END IF;
        FOR place IN array_lower(elements, 2) .. array_upper(elements, 2) LOOP
            elements[row][place] := scrub.apply(bare_name, elements[row][place]);
        END LOOP;
    END LOOP;
    RETURN elements;
END
$$;

-- Each element of an array of one or two dimensions, their bounds kept; NULL elements stay.
CREATE FUNCTION scrub.each(elements text[], function_name text) RETURNS text[]
LANGUAGE sql STABLE PARALLEL SAFE
RETURN scrub.each_of(elements, scrub.function_name(function_name));
