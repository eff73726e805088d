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

-- Up to 34 digits permuted among all of as many. A single one is turned on by a keyed number, so never stays.
CREATE FUNCTION scrub.permuted(label bytea, digits text) RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    total  integer := octet_length(digits);
    half   integer := total / 2;
    halves bigint[];
BEGIN
    IF total > 34 THEN
        RAISE EXCEPTION 'at most 34 digits can be permuted, got %', total USING ERRCODE = 'invalid_parameter_value';
    ELSIF total > 1 THEN
        halves := scrub.feistel(
            label || int4send(total), left(digits, half)::bigint, substr(digits, half + 1)::bigint,
            ('1' || repeat('0', half))::bigint, ('1' || repeat('0', total - half))::bigint
        );
        RETURN lpad(halves[1]::text, half, '0') || lpad(halves[2]::text, total - half, '0');
    END IF;
    RETURN CASE WHEN total = 1 THEN (digits::integer + 1 + scrub.number(scrub.hmac(label, '')) % 9) % 10 END::text;
END
$$;

-- ASCII digits alone, for some servers take a locale's own for digits, too.
CREATE FUNCTION scrub.only_digits(value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN value COLLATE "C" ~ '[^0-9]' THEN regexp_replace(value COLLATE "C", '[^0-9]+', '', 'g') ELSE value
END;

-- Account, registration and tax numbers: the digits permuted among all numbers of as many digits, the other characters
-- kept. A Feistel network of ten keyed rounds, so injective whatever the length; whoever has the key can undo it. One
-- digit comes out as another; a longer number may come out as itself (once in 10^digits). A text without any digit
-- becomes a token; more than 34 digits are refused.
CREATE FUNCTION scrub.digits(value text) RETURNS text LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
    digits text := scrub.only_digits(value);
    size   integer := octet_length(digits);
BEGIN
    IF size = octet_length(value) THEN RETURN CASE WHEN size = 0 THEN '' ELSE scrub.permuted('digits:', digits) END; END IF;
    IF size = 0 THEN RETURN left(encode(scrub.hmac('digits:', value), 'hex'), length(value)); END IF;
    RETURN scrub.with_digits(value, scrub.permuted('digits:', digits));
END
$$;

-- Payment cards: the first digit becomes 9, with which no network's cards begin (ISO/IEC 7812), the last one what Luhn's
-- formula asks for, those between are permuted, and all else is kept. Injective over cards of one first digit. Fewer
-- than four digits are given to scrub.digits; more than 36 are refused.
CREATE FUNCTION scrub.card_number(value text) RETURNS text LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
    digits text := scrub.only_digits(value);
    size   integer := octet_length(digits);
    total  integer := 0;
    digit  integer;
BEGIN
    IF size < 4 THEN RETURN scrub.digits(value); END IF;
    digits := '9' || scrub.permuted('card:', substr(digits, 2, size - 2));
    FOR place IN 1 .. size - 1 LOOP
        -- Every second digit counts twice, the one before the check digit first.
        digit := substr(digits, size - place, 1)::integer * (1 + place % 2);
        total := total + digit / 10 + digit % 10;
    END LOOP;
    RETURN scrub.with_digits(value, digits || (10 - total % 10) % 10);
END
$$;

-- IBANs: country and letters kept, the account's digits permuted, the check digits (ISO 13616) made right. Injective over
-- IBANs whose own are right, and, like scrub.digits, free to give a number that is in use. A text that is none is given
-- to scrub.digits.
CREATE FUNCTION scrub.iban(value text) RETURNS text LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
    iban    text COLLATE "C" := upper(replace(value COLLATE "C", ' ', ''));
    account text COLLATE "C" := substr(iban, 5);
    letters text COLLATE "C";
BEGIN
    IF iban !~ '^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$' THEN RETURN scrub.digits(value); END IF;
    account := scrub.with_digits(account, scrub.permuted('iban:', scrub.only_digits(account)));
    letters := account || left(iban, 2) || '00';
    FOR letter IN 10 .. 35 LOOP
        letters := replace(letters, chr(55 + letter), letter::text);
    END LOOP;
    iban := left(iban, 2) || lpad((98 - letters::numeric % 97)::text, 2, '0') || account;
    RETURN CASE WHEN strpos(value COLLATE "C", ' ') = 0 THEN iban ELSE regexp_replace(iban, '(....)(?=.)', E'\\1 ', 'g') END;
END
$$;

-- Numbers that name rows: permuted between `low` and `high`, so injective, and true to a foreign key where both of its
-- sides are given the same two. A number outside raises. About one of them all comes out as itself.
CREATE FUNCTION scrub.id(value bigint, low bigint, high bigint) RETURNS bigint
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
    span      bigint;
    near_size bigint;
    far_size  bigint;
    halves    bigint[];
BEGIN
    IF value NOT BETWEEN low AND high THEN
        RAISE EXCEPTION 'scrub.id was given a number that is not from % to %', low, high
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    span := high - low;
    near_size := floor(sqrt(span::double precision))::bigint + 1;
    far_size := span / near_size + 1;
    halves := ARRAY[(value - low) / far_size, (value - low) % far_size];
    -- The network permutes near_size times far_size numbers, a few more than there are: on until inside.
    LOOP
        halves := scrub.feistel('id:' || int8send(span), halves[1], halves[2], near_size, far_size);
        EXIT WHEN halves[1] < span / far_size OR (halves[1] = span / far_size AND halves[2] <= span % far_size);
    END LOOP;
    RETURN low + (halves[1] * far_size + halves[2]);
END
$$;

-- All numbers of a type: a positive one stays positive, a negative one negative, zero zero.
CREATE FUNCTION scrub.id(value bigint) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN value > 0 THEN scrub.id(value, 1, 9223372036854775807)
    WHEN value < 0 THEN scrub.id(value, '-9223372036854775808'::bigint, -1)
    ELSE value
END;

CREATE FUNCTION scrub.id(value integer) RETURNS integer LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN value > 0 THEN scrub.id(value, 1, 2147483647) WHEN value < 0 THEN scrub.id(value, -2147483648, -1) ELSE value
END::integer;

CREATE FUNCTION scrub.id(value smallint) RETURNS smallint LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN value > 0 THEN scrub.id(value, 1, 32767) WHEN value < 0 THEN scrub.id(value, -32768, -1) ELSE value
END::smallint;

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

-- The same for binary numbers; 0 becomes `fraction`. Infinity and NaN stay.
CREATE FUNCTION scrub.noise(value double precision, key text, fraction double precision) RETURNS double precision
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
    noisy double precision := value
        * (1 + fraction * (scrub.number(scrub.hmac('noise:', key)) % 2000001 - 1000000) / 1000000.0::double precision);
BEGIN
    RETURN CASE WHEN noisy <> value THEN noisy WHEN value = 0 THEN fraction ELSE value * (1 + fraction) END;
END
$$;
