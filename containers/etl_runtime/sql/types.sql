-- Network addresses, UUIDs, dates.

-- Where the addresses kept for documentation begin (RFC 5737), each from 0.0.0.0 on and 256 times.
-- An address from the ranges kept for documentation, its mask length kept: 768 IPv4 addresses (not injective), and
-- 2001:db8::/64 for IPv6 (injective).
CREATE FUNCTION scrub.ip(value inet) RETURNS inet LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
    original text := host(value);
    number   bigint := scrub.number(scrub.hmac('ip:', original));
    address  inet;
BEGIN
    IF family(value) = 6 THEN
        address := '2001:db8::'::inet + number;
        IF host(address) = original THEN address := '2001:db8::'::inet + (number # 1); END IF;
        RETURN set_masklen(address, masklen(value));
    END IF;
    address := '0.0.0.0'::inet + (('{3221225984,3325256704,3405803776}'::bigint[])[1 + number % 3] + number / 3 % 256);
    IF host(address) = original THEN address := set_masklen(
        '0.0.0.0'::inet + (('{3221225984,3325256704,3405803776}'::bigint[])[1 + (number + 1) % 3] + number / 3 % 256), 32);
    END IF;
    RETURN set_masklen(address, masklen(value));
END
$$;

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
