-- Schema `scrub` and the keyed digest that every pseudonym is made of.

CREATE SCHEMA scrub;

-- The key -------------------------------------------------------------------------------------------------------------
--
-- Three constants are made of it, and written into these functions in place of what they have here: scrub_functions.py.
-- The planner then computes with constants where it would compute them from a setting in every call, at half the price
-- of the whole digest.

CREATE FUNCTION scrub.refuse() RETURNS bytea LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    RAISE EXCEPTION 'the scrub functions have no key' USING ERRCODE = 'invalid_parameter_value';
END
$$;

-- HMAC's key as a block of 64 bytes, each of them XOR 0x36, and XOR 0x5c.
CREATE FUNCTION scrub.inner_pad() RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE RETURN scrub.refuse();
CREATE FUNCTION scrub.outer_pad() RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE RETURN scrub.refuse();

-- 32 bytes for scrub.feistel.
CREATE FUNCTION scrub.round_key() RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE RETURN scrub.refuse();

-- Digests -------------------------------------------------------------------------------------------------------------

-- UTF-8 whatever the database's encoding is, so that two databases have the same pseudonyms. SQL_ASCII has no
-- characters, only bytes: scrub_functions.py leaves them as they are there.
CREATE FUNCTION scrub.octets(value text) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE
RETURN convert_to(value, 'UTF8');

-- HMAC-SHA-256 (RFC 2104) of the domain and the value behind it. Each function has a domain of its own, ended by a
-- colon, so that none of them tells anything of another's outputs.
CREATE FUNCTION scrub.hmac(domain bytea, value bytea) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE
RETURN sha256(scrub.outer_pad() || sha256((scrub.inner_pad() || domain) || value));

CREATE FUNCTION scrub.hmac(domain bytea, value text) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE
RETURN scrub.hmac(domain, scrub.octets(value));

-- The digest's first `length` bytes in hexadecimal digits.
CREATE FUNCTION scrub.hex(digest bytea, length integer) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN encode(substr(digest, 1, length), 'hex');

-- A number from 0 to 2^63 - 1 of the digest's first eight bytes.
CREATE FUNCTION scrub.number(digest bytea) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ('x' || scrub.hex(digest, 8))::bit(64)::bigint & 9223372036854775807;

-- Case folding that no collation changes: a column's own would part the pseudonyms of equal texts. ASCII letters alone.
CREATE FUNCTION scrub.folded(value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN lower(value COLLATE "C");

-- Permutations --------------------------------------------------------------------------------------------------------

-- A keyed permutation of the pairs (near, far), near below near_size and far below far_size, both at most 10^17: a
-- Feistel network of ten rounds, as many as FF1 of NIST SP 800-38G has. `label` (at most 15 bytes) parts permutations.
-- What a round digests fits one block, the key in it: one call of SHA-256's compression function, which HMAC itself
-- takes for a keyed random function, at a third of HMAC's price.
CREATE FUNCTION scrub.feistel(label bytea, near bigint, far bigint, near_size bigint, far_size bigint) RETURNS bigint[]
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    round_key bytea := scrub.round_key() || label;
BEGIN
    FOR turn IN 0..9 BY 2 LOOP
        near := (near + scrub.number(sha256(round_key || int8send(far * 10 + turn))) % near_size) % near_size;
        far := (far + scrub.number(sha256(round_key || int8send(near * 10 + turn + 1))) % far_size) % far_size;
    END LOOP;
    RETURN ARRAY[near, far];
END
$$;
