-- Numbers of accounts and registers, amounts.

-- The text with its digits, all of them ASCII, replaced one by one by `digits`.
CREATE FUNCTION scrub.with_digits(value text, digits text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    result   text := '';
    position integer := 0;
    letter   text COLLATE "C";
BEGIN
    FOREACH letter IN ARRAY string_to_array(value, NULL) LOOP
        IF letter BETWEEN '0' AND '9' THEN
            position := position + 1;
            letter := substr(digits, position, 1);
        END IF;
        result := result || letter;
    END LOOP;
    RETURN result;
END
$$;

-- Account, registration and tax numbers: the digits permuted among all numbers of as many digits, the other characters
-- kept. A Feistel network of ten keyed rounds, so injective whatever the length; whoever has the key can undo it. One
-- digit comes out as another; a longer number may come out as itself (once in 10^digits). A text without any digit
-- becomes a token; more than 34 digits are refused.
CREATE FUNCTION scrub.digits(value text) RETURNS text LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
    digits text COLLATE "C" := value;
    total  integer;
    half   integer;
    halves bigint[];
BEGIN
    IF value COLLATE "C" ~ '[^0-9]' THEN digits := regexp_replace(digits, '[^0-9]+', '', 'g'); END IF;
    total := octet_length(digits);
    half := total / 2;
    IF total > 34 THEN
        RAISE EXCEPTION 'scrub.digits takes at most 34 digits, got %', total USING ERRCODE = 'invalid_parameter_value';
    ELSIF total > 1 THEN
        halves := scrub.feistel(
            'digits:' || int4send(total), left(digits, half)::bigint, substr(digits, half + 1)::bigint,
            ('1' || repeat('0', half))::bigint, ('1' || repeat('0', total - half))::bigint
        );
        digits := lpad(halves[1]::text, half, '0') || lpad(halves[2]::text, total - half, '0');
    ELSIF total = 1 THEN
        digits := (digits::integer + 1 + scrub.number(scrub.hmac('digits:', '')) % 9) % 10;
    ELSIF octet_length(value) = 0 THEN
        RETURN '';
    ELSE
        RETURN left(encode(scrub.hmac('digits:', value), 'hex'), length(value));
    END IF;
    RETURN CASE WHEN octet_length(value) = total THEN digits ELSE scrub.with_digits(value, digits) END;
END
$$;

-- Up to `fraction` (0.1 for a tenth) more or less, at the value's own scale; where that rounds to no change (as for 0),
-- one unit of the last place more.
CREATE FUNCTION scrub.noise(value numeric, key text, fraction numeric) RETURNS numeric
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
    places integer := coalesce(scale(value), 0);
    noisy  numeric := round(
        value * (1 + fraction * (scrub.number(scrub.hmac('noise:', key)) % 2000001 - 1000000) / 1000000.0), places
    );
BEGIN
    RETURN CASE WHEN noisy = value THEN round(value + power(10::numeric, -places), places) ELSE noisy END;
END
$$;
