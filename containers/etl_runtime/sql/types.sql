-- Network addresses, UUIDs, dates.

-- An address from the ranges kept for documentation (RFC 5737, RFC 3849), its mask length kept: 768 IPv4 addresses, not
-- injective; 2001:db8::/64 for IPv6, injective.
CREATE FUNCTION scrub.ip(value inet) RETURNS inet LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
    original text := host(value);
    number   bigint := scrub.number(scrub.hmac('ip:', original));
    address  inet;
BEGIN
    IF family(value) = 6 THEN
        address := '2001:db8::'::inet + number;
        IF host(address) = original THEN address := '2001:db8::'::inet + (number # 1); END IF;
    ELSE
        address := ('{192.0.2.0,198.51.100.0,203.0.113.0}'::inet[])[1 + number % 3] + number / 3 % 256;
        IF host(address) = original THEN
            address := ('{192.0.2.0,198.51.100.0,203.0.113.0}'::inet[])[1 + (number + 1) % 3] + number / 3 % 256;
        END IF;
    END IF;
    RETURN set_masklen(address, masklen(value));
END
$$;

-- A network around such an address. Of short masks there are few: 0.0.0.0/0 comes out as itself.
CREATE FUNCTION scrub.ip(value cidr) RETURNS cidr LANGUAGE sql STABLE PARALLEL SAFE
RETURN network(scrub.ip(value::inet));

-- A locally administered address (IEEE 802), which no maker's device has: 40 keyed bits, not injective; 56 in eight
-- bytes.
CREATE FUNCTION scrub.mac(value macaddr) RETURNS macaddr LANGUAGE sql STABLE PARALLEL SAFE
RETURN ('02' || scrub.hex(scrub.hmac('mac:', value::text), 5))::macaddr;

CREATE FUNCTION scrub.mac(value macaddr8) RETURNS macaddr8 LANGUAGE sql STABLE PARALLEL SAFE
RETURN ('02' || scrub.hex(scrub.hmac('mac:', value::text), 7))::macaddr8;

-- A UUID of version 8 (RFC 9562), 122 keyed bits. Injective.
CREATE FUNCTION scrub.uuid(value uuid) RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
RETURN scrub.hex(
    -- The version, 1000, in bits 48 to 51, and the variant, 10, in 64 and 65; Postgres counts from each byte's last bit.
    set_bit(set_bit(set_bit(set_bit(set_bit(set_bit(
        scrub.hmac('uuid:', uuid_send(value)), 55, 1), 54, 0), 53, 0), 52, 0), 71, 1), 70, 0),
    16
)::uuid;

-- 1 to `days` days, forward or back, the same for one `key`: shift all the dates of one person by that person's id and
-- the spans between them stay true. Among the 2 * days + 1 numbers from -days on, zero is passed over.
CREATE FUNCTION scrub.shift_days(key text, days integer) RETURNS integer LANGUAGE sql STABLE PARALLEL SAFE
RETURN ((
    scrub.number(scrub.hmac('date_shift:', key)) % (2 * scrub.between('days of scrub.date_shift', days, 1, 1000000))
    + days + 1
) % (2 * days + 1))::integer - days;

CREATE FUNCTION scrub.date_shift(value date, key text, days integer) RETURNS date
LANGUAGE sql STABLE PARALLEL SAFE
RETURN value + scrub.shift_days(key, days);

CREATE FUNCTION scrub.date_shift(value timestamp, key text, days integer) RETURNS timestamp
LANGUAGE sql STABLE PARALLEL SAFE
RETURN value + make_interval(hours => 24 * scrub.shift_days(key, days));

CREATE FUNCTION scrub.date_shift(value timestamptz, key text, days integer) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
RETURN value + make_interval(hours => 24 * scrub.shift_days(key, days));

-- Each date of an array of one dimension; NULL stays.
CREATE FUNCTION scrub.date_shift(value date[], key text, days integer) RETURNS date[]
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
    shift integer := scrub.shift_days(key, days);
BEGIN
    IF array_ndims(value) > 1 THEN
        RAISE EXCEPTION 'scrub.date_shift takes a one-dimensional array' USING ERRCODE = 'array_subscript_error';
    END IF;
    FOR place IN coalesce(array_lower(value, 1), 1) .. coalesce(array_upper(value, 1), 0) LOOP
        value[place] := value[place] + shift;
    END LOOP;
    RETURN value;
END
$$;

-- Both ends of a range by the same days; an empty one stays empty, an unbounded end unbounded.
CREATE FUNCTION scrub.date_shift(value daterange, key text, days integer) RETURNS daterange
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
    shift  integer := scrub.shift_days(key, days);
    bounds text := CASE WHEN lower_inc(value) THEN '[' ELSE '(' END || CASE WHEN upper_inc(value) THEN ']' ELSE ')' END;
BEGIN
    RETURN CASE WHEN isempty(value) THEN value ELSE daterange(lower(value) + shift, upper(value) + shift, bounds) END;
END
$$;

CREATE FUNCTION scrub.date_shift(value tsrange, key text, days integer) RETURNS tsrange
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
    shift  interval := make_interval(hours => 24 * scrub.shift_days(key, days));
    bounds text := CASE WHEN lower_inc(value) THEN '[' ELSE '(' END || CASE WHEN upper_inc(value) THEN ']' ELSE ')' END;
BEGIN
    RETURN CASE WHEN isempty(value) THEN value ELSE tsrange(lower(value) + shift, upper(value) + shift, bounds) END;
END
$$;

CREATE FUNCTION scrub.date_shift(value tstzrange, key text, days integer) RETURNS tstzrange
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
    shift  interval := make_interval(hours => 24 * scrub.shift_days(key, days));
    bounds text := CASE WHEN lower_inc(value) THEN '[' ELSE '(' END || CASE WHEN upper_inc(value) THEN ']' ELSE ')' END;
BEGIN
    RETURN CASE WHEN isempty(value) THEN value ELSE tstzrange(lower(value) + shift, upper(value) + shift, bounds) END;
END
$$;
