-- Texts whose look says nothing of a person: tokens, pages, placeholder words.

-- The number, where it is between two others; a constant folds to itself, so that a wrong rule fails before any row.
CREATE FUNCTION scrub.between(what text, number integer, low integer, high integer) RETURNS integer
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    IF number BETWEEN low AND high THEN RETURN number; END IF;
    RAISE EXCEPTION '%: from % to %, not %', what, low, high, number USING ERRCODE = 'invalid_parameter_value';
END
$$;

-- How many bytes of a digest a text of `max_length` characters has room for in hexadecimal digits beside `others`: from
-- 8 bytes, fewer of which would not be injective, to 16.
CREATE FUNCTION scrub.digest_bytes(what text, max_length integer, others integer) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN least(16, (scrub.between('max_length of ' || what, max_length, others + 16, 2147483647) - others) / 2);

-- The first `length` (1 to 64) hexadecimal digits of a keyed digest. Injective from 16 digits on. Case matters.
CREATE FUNCTION scrub.token(value text, length integer) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN octet_length(value) = 0 THEN ''
    ELSE left(
        encode(scrub.hmac('token:', value), 'hex'), scrub.between('digits of scrub.token', length, 1, 64)
    )
END;

-- The first `length` (1 to 32) bytes of a keyed digest, for digests and tokens that are stored as bytes. Injective from
-- 8 bytes on.
CREATE FUNCTION scrub.bytes(value bytea, length integer) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN octet_length(value) = 0 THEN value
    ELSE substr(scrub.hmac('bytes:', value), 1, scrub.between('bytes of scrub.bytes', length, 1, 32))
END;

-- A page of example.com, 52 characters. Injective; case matters.
CREATE FUNCTION scrub.url(value text) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN octet_length(value) = 0 THEN ''
    ELSE 'https://example.com/' || scrub.hex(scrub.hmac('url:', value), 16)
END;

-- The same with as many digits as `max_length` (from 36 on) characters have room for, and at most 32.
CREATE FUNCTION scrub.url(value text, max_length integer) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN octet_length(value) = 0 THEN ''
    ELSE 'https://example.com/'
        || scrub.hex(scrub.hmac('url:', value), scrub.digest_bytes('scrub.url', max_length, 20))
END;

-- Eight sentences, 475 characters, a blank behind each.
CREATE FUNCTION scrub.prose() RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 'Lorem ipsum dolor sit amet, consectetur adipiscing elit. '
    || 'Sed do eiusmod tempor incididunt ut labore et dolore magna. '
    || 'Ut enim ad minim veniam, quis nostrud exercitation ullamco. '
    || 'Laboris nisi ut aliquip ex ea commodo consequat ipsum nulla. '
    || 'Duis aute irure dolor in reprehenderit in voluptate velit. '
    || 'Esse cillum dolore eu fugiat nulla pariatur dolor sit amet. '
    || 'Excepteur sint occaecat cupidatat non proident sunt magna. '
    || 'Culpa qui officia deserunt mollit anim id est laborum sed. ';

-- Placeholder words, exactly as many characters as the original has; its line breaks are not kept. Not injective: the
-- first 64 characters and the length decide. A text shorter than a word may come out as itself.
CREATE FUNCTION scrub.text(value text) RETURNS text LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
    size  integer := length(value);
    start integer := ('{1,58,118,178,239,298,358,417}'::integer[])[
        1 + (get_byte(scrub.hmac('text:', left(value, 64)), 0) & 7)
    ];
BEGIN
    -- Bytes are cut at once, characters by counting them; these are all ASCII. Eight times the prose has 3,800.
    RETURN convert_from(substr(repeat(scrub.prose(), 9)::bytea, start, size % 3800), 'UTF8')
        || repeat(repeat(scrub.prose(), 8), size / 3800);
END
$$;
