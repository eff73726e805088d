-- Keyed, deterministic pseudonyms for cleaning rules: schema `scrub`, core Postgres 16-18, no extension.
--
-- Run once in a scratch database, where no schema of this name may be yet; then any role may call the functions after
--     SET scrub.key = '<hex of 32 to 64 bytes>'
-- Without such a key every function here raises: there is no unkeyed pseudonym.
--
-- What holds for all of them:
--   * the same key and the same input give the same output, in every table, so joins and foreign keys survive;
--   * another key gives another output, and without the key no output can be traced back by guessing inputs;
--   * NULL gives NULL, and an empty text stays empty;
--   * no two functions share a keyed digest, so what one of them gives tells nothing of what another gives.
-- "Injective" below means: different inputs give different outputs, save for one chance in 100,000 among ten million.
-- The functions that are not injective may give one row's original to another row (rules: `proof: per_row`), yet never
-- give an input back as its own output, unless said otherwise.
--
-- The SQL-language functions have no SET clause and a single expression, so that the planner inlines them.

CREATE SCHEMA scrub;

-- The key -------------------------------------------------------------------------------------------------------------

CREATE FUNCTION scrub.refuse_key() RETURNS bit LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    RAISE EXCEPTION 'scrub.key is missing or has not 64 to 128 hexadecimal digits'
        USING ERRCODE = 'invalid_parameter_value', HINT = 'SET scrub.key to the hex of 32 to 64 random bytes first.';
END
$$;

-- The key as HMAC's 64-byte block, zeros to the right.
CREATE FUNCTION scrub.key_block() RETURNS bit LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN octet_length(current_setting('scrub.key', true)) BETWEEN 64 AND 128
    THEN ('x' || current_setting('scrub.key'))::bit(512)
    ELSE scrub.refuse_key()
END;

-- HMAC-SHA-256 (RFC 2104) of the text's UTF-8 bytes. bit_send is the one way in core from a bit string to bytes; its
-- first four bytes are the length.
CREATE FUNCTION scrub.hmac(value text) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE
RETURN sha256(
    substr(bit_send(scrub.key_block() # ('x' || repeat('5c', 64))::bit(512)), 5)
    || sha256(
        substr(bit_send(scrub.key_block() # ('x' || repeat('36', 64))::bit(512)), 5) || convert_to(value, 'UTF8')
    )
);

-- A number from 0 to 2^63 - 1.
CREATE FUNCTION scrub.hmac_number(value text) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
RETURN ('x0' || substr(encode(scrub.hmac(value), 'hex'), 1, 16))::bit(64)::bigint;

-- Words ---------------------------------------------------------------------------------------------------------------

CREATE FUNCTION scrub.first_names() RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '{Alder,Amber,Ash,Aspen,Autumn,Basil,Bay,Birch,Bracken,Briar,Bryony,Cedar,Clay,Clover,Coral,Cosmos,
Crispin,Dale,Dove,Elm,Ember,Fern,Finch,Flint,Forrest,Glen,Hazel,Heath,Heather,Holly,Iris,Ivy,
Jasper,Jay,Juniper,Lark,Laurel,Linden,Lotus,Maple,Marigold,Meadow,Moss,Myrtle,Oakley,Olive,Opal,Pearl,
Peony,Pine,Poppy,Quill,Raven,Reed,River,Robin,Rowan,Rush,Sage,Sorrel,Tansy,Thorn,Willow,Wren}'::text[];

CREATE FUNCTION scrub.stems() RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '{Amber,Apple,Barley,Bramble,Brindle,Candle,Clover,Copper,Dapple,Drift,Eider,Fallow,Feather,Fennel,Gorse,Hollow,
Kestrel,Linnet,Lumber,Marble,Nettle,Otter,Pebble,Quarry,Ripple,Saffron,Spindle,Teasel,Thimble,Umber,Velvet,
Yarrow}'::text[];

CREATE FUNCTION scrub.endings() RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '{bank,beck,bourne,bridge,brook,by,combe,cote,croft,dale,dean,fell,field,ford,garth,gate,
grove,ham,holt,hurst,leigh,ley,mere,moor,more,ridge,stead,thorpe,ton,wick,wold,worth}'::text[];

-- An invented place or family name, one of 1,024; bytes `at` and `at` + 1 of the digest choose it.
CREATE FUNCTION scrub.coined(digest bytea, at integer) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (scrub.stems())[1 + (get_byte(digest, at) & 31)] || (scrub.endings())[1 + (get_byte(digest, at + 1) & 31)];

CREATE FUNCTION scrub.lorem() RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 'Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore '
    || 'magna aliqua. Ut enim ad minim veniam, quis nostrud exercitation ullamco laboris nisi ut aliquip ex ea commodo '
    || 'consequat. Duis aute irure dolor in reprehenderit in voluptate velit esse cillum dolore eu fugiat nulla. ';

-- Text in, text out ---------------------------------------------------------------------------------------------------

-- The first `length` (1 to 64) hexadecimal digits of a keyed digest. Injective from 30 digits on. Case matters.
CREATE FUNCTION scrub.token(value text, length integer) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN value = '' THEN '' ELSE substr(encode(scrub.hmac('token:' || value), 'hex'), 1, length) END;

-- 32 hexadecimal digits (128 bits) at example.com, 44 characters. Injective over addresses without regard to case and
-- outer blanks, since an audit trail seldom spells an address as the user table does. Where a unique column tells two
-- addresses apart by case alone, use scrub.token(value, 32) || '@example.com' throughout.
CREATE FUNCTION scrub.email(value text) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN value = '' THEN ''
    ELSE substr(encode(scrub.hmac('email:' || lower(btrim(value))), 'hex'), 1, 32) || '@example.com'
END;

-- One of 1.7 million invented names such as "Hazel T. Quarryfell". Case does not matter. Not injective.
CREATE FUNCTION scrub.person_name(value text) RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    digest bytea := scrub.hmac('person_name:' || lower(value));
    name   text;
BEGIN
    IF value = '' THEN RETURN ''; END IF;
    name := (scrub.first_names())[1 + (get_byte(digest, 0) & 63)] || ' ' || chr(65 + get_byte(digest, 1) % 26) || '. '
        || scrub.coined(digest, 2);
    IF name = value THEN RETURN scrub.person_name(value || ' '); END IF;
    RETURN name;
END
$$;

-- The same with 32 hexadecimal digits behind it. Injective without regard to case.
CREATE FUNCTION scrub.person_name_unique(value text) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN value = '' THEN ''
    ELSE scrub.person_name(value) || ' '
        || substr(encode(scrub.hmac('person_name_unique:' || lower(value)), 'hex'), 1, 32)
END;

-- Digits only, +44 and 0044 written as 0.
CREATE FUNCTION scrub.national_number(value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN regexp_replace(translate(value, E' ()-./\t', ''), '^(\+|00)440?', '0');

-- A number reserved for drama: a mobile one (07...) becomes 07700 900000-900999, any other 01632 960000-960999. Written
-- with +44 and with blanks where the original was. Spelling does not matter. 1,000 outputs each: far from injective.
CREATE FUNCTION scrub.phone(value text) RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    original text := scrub.national_number(value);
    line     integer := scrub.hmac_number('phone:' || original) % 1000;
    exchange text := CASE WHEN original LIKE '07%' THEN '7700 900' ELSE '1632 960' END;
    number   text;
BEGIN
    IF value = '' THEN RETURN ''; END IF;
    IF original = '0' || replace(exchange, ' ', '') || lpad(line::text, 3, '0') THEN line := (line + 1) % 1000; END IF;
    number := CASE WHEN value LIKE '+%' THEN '+44 ' ELSE '0' END || exchange || lpad(line::text, 3, '0');
    RETURN CASE WHEN strpos(value, ' ') > 0 THEN number ELSE replace(number, ' ', '') END;
END
$$;

-- The same with an extension of 19 digits: no telephone can dial it. Injective without regard to spelling.
CREATE FUNCTION scrub.phone_unique(value text) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN value = '' THEN ''
    ELSE scrub.phone(value) || ' x'
        || lpad(scrub.hmac_number('phone_unique:' || scrub.national_number(value))::text, 19, '0')
END;

-- "417 Pebblewick Lane, Umbercote". Case does not matter. Not injective (about 4 thousand million).
CREATE FUNCTION scrub.address(value text) RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    digest  bytea := scrub.hmac('address:' || lower(value));
    address text;
BEGIN
    IF value = '' THEN RETURN ''; END IF;
    address := 1 + (get_byte(digest, 0) << 8 | get_byte(digest, 1)) % 999 || ' ' || scrub.coined(digest, 2) || ' '
        || ('{Street,Road,Lane,Close}'::text[])[1 + (get_byte(digest, 4) & 3)] || ', ' || scrub.coined(digest, 5);
    IF address = value THEN RETURN scrub.address(value || ' '); END IF;
    RETURN address;
END
$$;

-- "ZZ41 7QD": no place is in area ZZ. Case and blanks do not matter. Not injective (400,000).
CREATE FUNCTION scrub.postcode(value text) RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    number   bigint := scrub.hmac_number('postcode:' || upper(translate(value, ' ', '')));
    postcode text;
BEGIN
    IF value = '' THEN RETURN ''; END IF;
    postcode := 'ZZ' || lpad((number % 100)::text, 2, '0') || ' ' || number / 100 % 10
        || substr('ABDEFGHJLNPQRSTUWXYZ', 1 + (number / 1000 % 20)::integer, 1)
        || substr('ABDEFGHJLNPQRSTUWXYZ', 1 + (number / 20000 % 20)::integer, 1);
    IF postcode = value THEN RETURN scrub.postcode(value || '-'); END IF;
    RETURN postcode;
END
$$;

-- "Copperholt & Fennelgate Ltd". Case does not matter. Not injective (3 million).
CREATE FUNCTION scrub.company(value text) RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    digest  bytea := scrub.hmac('company:' || lower(value));
    company text;
BEGIN
    IF value = '' THEN RETURN ''; END IF;
    company := scrub.coined(digest, 0) || ' & ' || scrub.coined(digest, 2) || ' '
        || ('{Ltd,LLP,plc}'::text[])[1 + get_byte(digest, 4) % 3];
    IF company = value THEN RETURN scrub.company(value || ' '); END IF;
    RETURN company;
END
$$;

-- A page of example.com, 52 characters. Injective; case matters.
CREATE FUNCTION scrub.url(value text) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN value = '' THEN ''
    ELSE 'https://example.com/' || substr(encode(scrub.hmac('url:' || value), 'hex'), 1, 32)
END;

-- Placeholder words, exactly as many characters as the original has; its line breaks are not kept. Not injective, and a
-- text shorter than a word may come out as itself.
CREATE FUNCTION scrub.text(value text) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN left(
    substr(
        'Culpa Dolor Ipsum Irure Magna Minim Nulla Velit', 1 + 6 * (scrub.hmac_number('text:' || value) & 7)::integer, 5
    ) || '. ' || repeat(scrub.lorem(), 1 + length(value) / length(scrub.lorem())),
    length(value)
);

-- Account, registration and tax numbers: the digits permuted among all numbers of as many digits, the other characters
-- kept. A Feistel network of eight keyed rounds, so injective whatever the length; whoever has the key can undo it. One
-- digit comes out as another; a longer number may come out as itself (once in 10^digits). A text without any digit
-- becomes a token; more than 36 digits are refused. About ten times the cost of an e-mail.
CREATE FUNCTION scrub.digits(value text) RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    digits   text := regexp_replace(value, '\D', '', 'g');
    total    integer := length(digits);
    modulus  bigint[];
    near     bigint;
    far      bigint;
    mixed    bigint;
    result   text := '';
    position integer := 0;
    letter   text;
BEGIN
    IF value IS NULL OR value = '' THEN RETURN value; END IF;
    IF total = 0 THEN RETURN scrub.token('digits:' || value, least(length(value), 64)); END IF;
    IF total > 36 THEN
        RAISE EXCEPTION 'scrub.digits takes at most 36 digits, got %', total USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF total = 1 THEN
        digits := ((digits::integer + 1 + scrub.hmac_number('digits') % 9) % 10)::text;
    ELSE
        modulus := ARRAY[power(10::numeric, total / 2)::bigint, power(10::numeric, total - total / 2)::bigint];
        near := left(digits, total / 2)::bigint;
        far := right(digits, total - total / 2)::bigint;
        FOR turn IN 0..7 LOOP
            mixed := (near::numeric + scrub.hmac_number('digits:' || total || ':' || turn || ':' || far))
                % modulus[1 + turn % 2];
            near := far;
            far := mixed;
        END LOOP;
        digits := lpad(near::text, total / 2, '0') || lpad(far::text, total - total / 2, '0');
    END IF;
    IF length(value) = total THEN RETURN digits; END IF;
    FOREACH letter IN ARRAY string_to_array(value, NULL) LOOP
        IF letter ~ '\d' THEN
            position := position + 1;
            letter := substr(digits, position, 1);
        END IF;
        result := result || letter;
    END LOOP;
    RETURN result;
END
$$;

-- Other types ---------------------------------------------------------------------------------------------------------

-- An address from the ranges kept for documentation, its mask length kept: 768 IPv4 addresses (not injective), and
-- 2001:db8::/64 for IPv6 (injective).
CREATE FUNCTION scrub.ip(value inet) RETURNS inet LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    number  bigint := scrub.hmac_number('ip:' || host(value));
    address inet;
BEGIN
    IF family(value) = 6 THEN
        address := '2001:db8::'::inet + number;
    ELSE
        address := ('{192.0.2.0,198.51.100.0,203.0.113.0}'::inet[])[1 + number % 3] + (number / 3 % 256);
    END IF;
    IF host(address) = host(value) THEN
        address := ('{192.0.2.0,198.51.100.0,203.0.113.0}'::inet[])[1 + (number + 1) % 3] + (number / 3 % 256);
    END IF;
    RETURN set_masklen(address, masklen(value));
END
$$;

-- A version 8 UUID (RFC 9562) of 120 keyed bits. Injective.
CREATE FUNCTION scrub.uuid(value uuid) RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
RETURN overlay(
    overlay(substr(encode(scrub.hmac('uuid:' || value), 'hex'), 1, 32) PLACING '8' FROM 13) PLACING '8' FROM 17
)::uuid;

-- 1 to `days` days, forward or back, the same for one `key`: shift all the dates of one person by that person's id and
-- the spans between them stay true.
CREATE FUNCTION scrub.shift_days(key text, days integer) RETURNS integer
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    number bigint := scrub.hmac_number('date_shift:' || key);
BEGIN
    IF days < 1 THEN
        RAISE EXCEPTION 'scrub.date_shift takes a span of at least 1 day, got %', days
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN (1 + number / 2 % days) * CASE number % 2 WHEN 0 THEN 1 ELSE -1 END;
END
$$;

CREATE FUNCTION scrub.date_shift(value date, key text, days integer) RETURNS date
LANGUAGE sql STABLE PARALLEL SAFE
RETURN value + scrub.shift_days(key, days);

CREATE FUNCTION scrub.date_shift(value timestamp, key text, days integer) RETURNS timestamp
LANGUAGE sql STABLE PARALLEL SAFE
RETURN value + make_interval(hours => 24 * scrub.shift_days(key, days));

CREATE FUNCTION scrub.date_shift(value timestamptz, key text, days integer) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
RETURN value + make_interval(hours => 24 * scrub.shift_days(key, days));

-- Up to `fraction` (0.1 for a tenth) more or less, at the value's own scale; where that rounds to no change (as for 0),
-- one unit of the last place more.
CREATE FUNCTION scrub.noise(value numeric, key text, fraction numeric) RETURNS numeric
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    places integer := coalesce(scale(value), 0);
    noisy  numeric := round(
        value * (1 + fraction * (scrub.hmac_number('noise:' || key) % 2000001 - 1000000) / 1000000.0), places);
BEGIN
    RETURN CASE WHEN noisy = value THEN round(value + power(10::numeric, -places), places) ELSE noisy END;
END
$$;

-- Arrays and JSON -----------------------------------------------------------------------------------------------------

-- The name that scrub.apply knows a function by, with or without `scrub.` in front. An unknown one raises, when the
-- statement is planned, so a misspelt rule stops a run even where no row would have needed it.
CREATE FUNCTION scrub.function_name(name text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    bare text := regexp_replace(name, '^scrub\.', '');
BEGIN
    IF bare IN ('address', 'company', 'digits', 'email', 'ip', 'person_name', 'person_name_unique', 'phone',
                'phone_unique', 'postcode', 'redact', 'text', 'token', 'url', 'uuid') THEN
        RETURN bare;
    END IF;
    RAISE EXCEPTION 'scrub has no function % from text to text', coalesce(quote_literal(name), 'NULL')
        USING ERRCODE = 'undefined_function';
END
$$;

-- Call one of these functions. Nothing is executed by name, so a rule can reach no other.
CREATE FUNCTION scrub.apply(bare_name text, value text) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    CASE bare_name
        WHEN 'email' THEN RETURN scrub.email(value);
        WHEN 'person_name' THEN RETURN scrub.person_name(value);
        WHEN 'phone' THEN RETURN scrub.phone(value);
        WHEN 'text' THEN RETURN scrub.text(value);
        WHEN 'ip' THEN
            IF pg_input_is_valid(value, 'inet') THEN RETURN host(scrub.ip(value::inet)); END IF;
            RETURN scrub.token(value, 32);
        WHEN 'token' THEN RETURN scrub.token(value, 32);
        WHEN 'redact' THEN RETURN CASE WHEN value = '' THEN '' ELSE 'redacted' END;
        WHEN 'address' THEN RETURN scrub.address(value);
        WHEN 'postcode' THEN RETURN scrub.postcode(value);
        WHEN 'company' THEN RETURN scrub.company(value);
        WHEN 'url' THEN RETURN scrub.url(value);
        WHEN 'uuid' THEN
            IF pg_input_is_valid(value, 'uuid') THEN RETURN scrub.uuid(value::uuid); END IF;
            RETURN scrub.token(value, 32);
        WHEN 'digits' THEN RETURN scrub.digits(value);
        WHEN 'person_name_unique' THEN RETURN scrub.person_name_unique(value);
        WHEN 'phone_unique' THEN RETURN scrub.phone_unique(value);
    END CASE;
END
$$;

CREATE FUNCTION scrub.each_of(elements text[], bare_name text) RETURNS text[]
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    IF array_ndims(elements) > 1 THEN
        RAISE EXCEPTION 'scrub.each takes a one-dimensional array' USING ERRCODE = 'array_subscript_error';
    END IF;
    IF elements IS NULL THEN RETURN NULL; END IF;
    RETURN ARRAY(
        SELECT scrub.apply(bare_name, element)
        FROM unnest(elements) WITH ORDINALITY AS e (element, place) ORDER BY place
    );
END
$$;

-- Each element of a one-dimensional array; NULL elements stay.
CREATE FUNCTION scrub.each(elements text[], function_name text) RETURNS text[]
LANGUAGE sql STABLE PARALLEL SAFE
RETURN scrub.each_of(elements, scrub.function_name(function_name));

-- A JSON path as steps: `:key`, `.*`, `[*]`, `[n]`, `**`. Understood are $, $.key, $."any key", $.*, $[*], $[0] and
-- $.**.key (that key at any depth), in any sequence; anything else raises.
CREATE FUNCTION scrub.path(path text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    step  CONSTANT text := '\.\*\*(?=\.[^*])|\.\*|\."[^"]+"|\.[^].["*]+|\[(?:\*|\d{1,9})\]';
    steps text[];
BEGIN
    IF (path ~ ('^\$(?:' || step || ')*$')) IS NOT TRUE THEN
        RAISE EXCEPTION 'not a JSON path that scrub.json understands: %', coalesce(quote_literal(path), 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Such as $.contacts[*].email or $.**.email.';
    END IF;
    SELECT array_agg(
        CASE
            WHEN part[1] = '.**' THEN '**'
            WHEN part[1] = '.*' OR part[1] LIKE '[%' THEN part[1]
            ELSE ':' || substr(replace(part[1], '"', ''), 2)
        END ORDER BY place
    ) INTO steps
    FROM regexp_matches(path, '(' || step || ')', 'g') WITH ORDINALITY AS m (part, place);
    RETURN coalesce(steps, '{}');
END
$$;

-- {"path": "function", ...} as one flat list: function, number of steps, steps, and so on. A constant folds to it once.
CREATE FUNCTION scrub.json_rules(rules jsonb) RETURNS text[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    program text[] := '{}';
    rule    record;
BEGIN
    FOR rule IN SELECT value AS function_name, scrub.path(key) AS steps FROM jsonb_each_text(rules) LOOP
        program := program || scrub.function_name(rule.function_name) || cardinality(rule.steps)::text || rule.steps;
    END LOOP;
    RETURN program;
END
$$;

-- The steps of a path from number `at` on; behind the last one, every leaf below. Where a step names a key and the node
-- is an array, the step holds for each element, as in JSON path's lax mode: a list where one object was expected is
-- scrubbed too, not passed over. Numbers and booleans become texts (a pseudonym is no number); nulls stay.
CREATE FUNCTION scrub.json_walk(node jsonb, steps text[], at integer, bare_name text) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    step text := steps[at];
    kind text := jsonb_typeof(node);
    name text;
BEGIN
    IF kind = 'object' THEN
        IF step LIKE ':%' THEN
            name := substr(step, 2);
            IF NOT node ? name THEN RETURN node; END IF;
            RETURN jsonb_set(node, ARRAY[name], scrub.json_walk(node -> name, steps, at + 1, bare_name));
        ELSIF step LIKE '[%' THEN
            RETURN CASE WHEN step IN ('[*]', '[0]') THEN scrub.json_walk(node, steps, at + 1, bare_name) ELSE node END;
        END IF;
        IF step = '**' THEN name := substr(steps[at + 1], 2); END IF;
        RETURN (
            SELECT coalesce(jsonb_object_agg(key, scrub.json_walk(
                value, steps, CASE WHEN step = '.*' THEN at + 1 WHEN key = name THEN at + 2 ELSE at END, bare_name
            )), '{}')
            FROM jsonb_each(node)
        );
    ELSIF kind = 'array' THEN
        IF step LIKE '[%' AND step <> '[*]' THEN
            name := btrim(step, '[]');
            IF name::integer >= jsonb_array_length(node) THEN RETURN node; END IF;
            RETURN jsonb_set(node, ARRAY[name], scrub.json_walk(node -> name::integer, steps, at + 1, bare_name));
        END IF;
        RETURN (
            SELECT coalesce(jsonb_agg(scrub.json_walk(
                element, steps, CASE WHEN step = '[*]' THEN at + 1 ELSE at END, bare_name
            ) ORDER BY place), '[]')
            FROM jsonb_array_elements(node) WITH ORDINALITY AS e (element, place)
        );
    ELSIF step IN ('[*]', '[0]') THEN
        RETURN scrub.json_walk(node, steps, at + 1, bare_name);
    ELSIF step IS NULL AND kind <> 'null' THEN
        RETURN to_jsonb(scrub.apply(bare_name, node #>> '{}'));
    END IF;
    RETURN node;
END
$$;

-- Replace what a path leads to by a function that scrub.apply knows, the leaves below it where it leads to an object or
-- a list. A document without the path comes out as it is.
CREATE FUNCTION scrub.json(document jsonb, path text, function_name text) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN scrub.json_walk(document, scrub.path(path), 1, scrub.function_name(function_name));

CREATE FUNCTION scrub.json_run(document jsonb, program text[]) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    place  integer := 1;
    length integer;
BEGIN
    WHILE place < cardinality(program) LOOP
        length := program[place + 1];
        document := scrub.json_walk(document, program[place + 2 : place + 1 + length], 1, program[place]);
        place := place + 2 + length;
    END LOOP;
    RETURN document;
END
$$;

-- Several paths at once: scrub.json(data, '{"$.contacts[*].email": "email", "$.**.phone": "phone"}'). What two paths
-- lead to is replaced twice, so let them not overlap.
CREATE FUNCTION scrub.json(document jsonb, rules jsonb) RETURNS jsonb LANGUAGE sql STABLE PARALLEL SAFE
RETURN scrub.json_run(document, scrub.json_rules(rules));

-- The same for the type json, whose spacing, key order and repeated keys do not outlive the way through jsonb.
CREATE FUNCTION scrub.json_text(document json, path text, function_name text) RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE
RETURN scrub.json(document::jsonb, path, function_name)::json;

CREATE FUNCTION scrub.json_text(document json, rules jsonb) RETURNS json LANGUAGE sql STABLE PARALLEL SAFE
RETURN scrub.json(document::jsonb, rules)::json;

GRANT USAGE ON SCHEMA scrub TO PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA scrub TO PUBLIC;
