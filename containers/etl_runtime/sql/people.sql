-- People and firms, and where they are reached: e-mail, telephones, names, addresses.
--
-- Texts are compared by bytes, COLLATE "C": a column's own collation might not be able to, or find more equal than is.

-- E-mail and telephones -----------------------------------------------------------------------------------------------

-- 32 hexadecimal digits (128 bits) at example.com, 44 characters. Injective over addresses without regard to the case
-- of ASCII letters and to outer blanks, since an audit trail seldom spells an address as the user table does. Where a
-- unique column tells two addresses apart by case alone, use scrub.token(value, 32) || '@example.com' throughout.
CREATE FUNCTION scrub.email(value text) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN octet_length(value) = 0 THEN ''
    ELSE scrub.hex(scrub.hmac('email:', scrub.folded(btrim(value))), 16) || '@example.com'
END;

-- The same with as many digits as `max_length` (from 28 on) characters have room for, and at most 32.
CREATE FUNCTION scrub.email(value text, max_length integer) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN octet_length(value) = 0 THEN ''
    ELSE scrub.hex(
        scrub.hmac('email:', scrub.folded(btrim(value))), scrub.digest_bytes('scrub.email', max_length, 12)
    ) || '@example.com'
END;

-- Without blanks, brackets, hyphens, dots, slashes and tabs. One at a time: translate() takes three times as long.
CREATE FUNCTION scrub.closed_up(value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN replace(replace(replace(replace(replace(replace(replace(
    value COLLATE "C", ' ', ''), '(', ''), ')', ''), '-', ''), '.', ''), '/', ''), chr(9), '');

-- A telephone number that is closed up, +44 and 0044 written as 0.
CREATE FUNCTION scrub.national_number(closed_up text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN closed_up COLLATE "C" LIKE '+44%' OR closed_up COLLATE "C" LIKE '0044%'
    THEN regexp_replace(closed_up COLLATE "C", '^([+]|00)440?', '0')
    ELSE closed_up
END;

-- A number reserved for drama: a mobile one (07...) becomes 07700 900000-900999, any other 01632 960000-960999. Written
-- with +44 and with blanks where the original was. Spelling does not matter. 1,000 outputs each: far from injective.
CREATE FUNCTION scrub.phone(value text) RETURNS text LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
    spelled  text COLLATE "C" := value;
    original text COLLATE "C" := scrub.closed_up(spelled);
    line     integer;
    number   text COLLATE "C";
BEGIN
    original := scrub.national_number(original);
    line := scrub.number(scrub.hmac('phone:', original)) % 1000;
    number := CASE WHEN original LIKE '07%' THEN '07700900' ELSE '01632960' END || lpad(line::text, 3, '0');
    IF number = original THEN number := left(number, 8) || lpad(((line + 1) % 1000)::text, 3, '0'); END IF;
    RETURN CASE
        WHEN strpos(spelled, ' ') > 0 THEN
            CASE WHEN spelled LIKE '+%' THEN '+44 ' || substr(number, 2, 4) ELSE left(number, 5) END
            || ' ' || substr(number, 6)
        WHEN spelled LIKE '+%' THEN '+44' || substr(number, 2)
        WHEN octet_length(spelled) = 0 THEN ''
        ELSE number
    END;
END
$$;

-- The same with an extension of 19 digits: no telephone can dial it. Injective without regard to spelling.
CREATE FUNCTION scrub.phone_unique(value text) RETURNS text LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
    original text := scrub.closed_up(value);
BEGIN
    IF octet_length(value) = 0 THEN RETURN ''; END IF;
    RETURN scrub.phone(value) || ' x'
        || lpad(scrub.number(scrub.hmac('phone_unique:', scrub.national_number(original)))::text, 19, '0');
END
$$;

-- Words. The type name, since an element of one size is found without passing those in front of it. -------------------

CREATE FUNCTION scrub.first_names() RETURNS name[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '{Alder,Amber,Ash,Aspen,Autumn,Basil,Bay,Birch,Bracken,Briar,Bryony,Cedar,Clay,Clover,Coral,Cosmos,
Crispin,Dale,Dove,Elm,Ember,Fern,Finch,Flint,Forrest,Glen,Hazel,Heath,Heather,Holly,Iris,Ivy,
Jasper,Jay,Juniper,Lark,Laurel,Linden,Lotus,Maple,Marigold,Meadow,Moss,Myrtle,Oakley,Olive,Opal,Pearl,
Peony,Pine,Poppy,Quill,Raven,Reed,River,Robin,Rowan,Rush,Sage,Sorrel,Tansy,Thorn,Willow,Wren}'::name[];

CREATE FUNCTION scrub.stems() RETURNS name[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '{Amber,Apple,Barley,Bramble,Brindle,Candle,Clover,Copper,Dapple,Drift,Eider,Fallow,Feather,Fennel,Gorse,Hollow,
Kestrel,Linnet,Lumber,Marble,Nettle,Otter,Pebble,Quarry,Ripple,Saffron,Spindle,Teasel,Thimble,Umber,Velvet,
Yarrow}'::name[];

CREATE FUNCTION scrub.endings() RETURNS name[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '{bank,beck,bourne,bridge,brook,by,combe,cote,croft,dale,dean,fell,field,ford,garth,gate,
grove,ham,holt,hurst,leigh,ley,mere,moor,more,ridge,stead,thorpe,ton,wick,wold,worth}'::name[];

-- An invented place or family name, one of 1,024; bytes `at` and `at` + 1 of the digest choose it.
CREATE FUNCTION scrub.coined(digest bytea, at integer) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (scrub.stems())[1 + (get_byte(digest, at) & 31)]::text
    || (scrub.endings())[1 + (get_byte(digest, at + 1) & 31)]::text;

-- People, places, firms -----------------------------------------------------------------------------------------------

-- One of 1.7 million invented names such as "Hazel T. Quarryfell". ASCII letters' case does not matter. Not injective.
CREATE FUNCTION scrub.person_name(value text) RETURNS text LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
    digest bytea := scrub.hmac('person_name:', scrub.folded(value));
    family text COLLATE "C" := ' ' || chr(65 + get_byte(digest, 1) % 26) || '. ' || scrub.coined(digest, 2);
    name   text COLLATE "C" := (scrub.first_names())[1 + (get_byte(digest, 0) & 63)]::text || family;
BEGIN
    IF name = value COLLATE "C" THEN RETURN (scrub.first_names())[1 + ((get_byte(digest, 0) + 1) & 63)]::text || family; END IF;
    RETURN CASE WHEN octet_length(value) = 0 THEN '' ELSE name END;
END
$$;

-- The same with 32 hexadecimal digits behind it. Injective without regard to the case of ASCII letters.
CREATE FUNCTION scrub.person_name_unique(value text) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN octet_length(value) = 0 THEN ''
    ELSE scrub.person_name(value) || ' ' || scrub.hex(scrub.hmac('person_name_unique:', scrub.folded(value)), 16)
END;

-- The same in at most `max_length` characters, from 20 on: 16 to 32 digits, and of the name what there is room for.
CREATE FUNCTION scrub.person_name_unique(value text, max_length integer) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN octet_length(value) = 0 THEN ''
    ELSE left(
        scrub.person_name(value), scrub.between('max_length of scrub.person_name_unique', max_length, 20, 2147483647)
        - 1 - 2 * least(16, greatest(8, (max_length - 26) / 2))
    ) || ' ' || scrub.hex(
        scrub.hmac('person_name_unique:', scrub.folded(value)), least(16, greatest(8, (max_length - 26) / 2))
    )
END;

-- "417 Pebblewick Lane, Umbercote". ASCII letters' case does not matter. Not injective (about 4 thousand million).
CREATE FUNCTION scrub.address(value text) RETURNS text LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
    digest  bytea := scrub.hmac('address:', scrub.folded(value));
    house   integer := (get_byte(digest, 0) << 8 | get_byte(digest, 1)) % 999;
    street  text COLLATE "C" := ' ' || scrub.coined(digest, 2) || ' '
        || ('{Street,Road,Lane,Close}'::name[])[1 + (get_byte(digest, 4) & 3)]::text || ', ' || scrub.coined(digest, 5);
    address text COLLATE "C" := (1 + house)::text || street;
BEGIN
    IF address = value COLLATE "C" THEN RETURN (1 + (house + 1) % 999)::text || street; END IF;
    RETURN CASE WHEN octet_length(value) = 0 THEN '' ELSE address END;
END
$$;

-- "ZZ41 7QD": no place is in area ZZ. Case and blanks do not matter. Not injective (400,000).
CREATE FUNCTION scrub.postcode(value text) RETURNS text LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
    number   bigint := scrub.number(scrub.hmac('postcode:', scrub.folded(replace(value COLLATE "C", ' ', ''))));
    inward   text COLLATE "C" := ' ' || (number / 100 % 10)::text
        || substr('ABDEFGHJLNPQRSTUWXYZ', 1 + (number / 1000 % 20)::integer, 1)
        || substr('ABDEFGHJLNPQRSTUWXYZ', 1 + (number / 20000 % 20)::integer, 1);
    postcode text COLLATE "C" := 'ZZ' || lpad((number % 100)::text, 2, '0') || inward;
BEGIN
    IF postcode = value COLLATE "C" THEN RETURN 'ZZ' || lpad(((number + 1) % 100)::text, 2, '0') || inward; END IF;
    RETURN CASE WHEN octet_length(value) = 0 THEN '' ELSE postcode END;
END
$$;

-- "Copperholt & Fennelgate Ltd". ASCII letters' case does not matter. Not injective (3 million).
CREATE FUNCTION scrub.company(value text) RETURNS text LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
    digest  bytea := scrub.hmac('company:', scrub.folded(value));
    kind    integer := get_byte(digest, 4) % 3;
    owners  text COLLATE "C" := scrub.coined(digest, 0) || ' & ' || scrub.coined(digest, 2);
    company text COLLATE "C" := owners || ('{" Ltd"," LLP"," plc"}'::name[])[1 + kind]::text;
BEGIN
    IF company = value COLLATE "C" THEN RETURN owners || ('{" Ltd"," LLP"," plc"}'::name[])[1 + (kind + 1) % 3]::text; END IF;
    RETURN CASE WHEN octet_length(value) = 0 THEN '' ELSE company END;
END
$$;
