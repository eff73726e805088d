-- The analysts' schema: figures, values of every kind of type, and tables that inherit. Nothing personal.

CREATE TABLE reporting.spend (
    region text,
    month  date NOT NULL,
    amount numeric NOT NULL
) PARTITION BY LIST (region);
CREATE TABLE reporting.spend_north PARTITION OF reporting.spend FOR VALUES IN ('north', 'scotland');
CREATE TABLE reporting.spend_south PARTITION OF reporting.spend FOR VALUES IN ('south', NULL);
CREATE TABLE reporting.spend_elsewhere PARTITION OF reporting.spend DEFAULT;

INSERT INTO reporting.spend
SELECT CASE WHEN n % 11 <> 0 THEN pick(n, 600, '{north,scotland,south,wales,offsite}') END,
    date '2023-01-01' + (n % 36)::integer * 30, number(n, 601, 100000000) / 100.0
FROM generate_series(1, scaled(3000)) AS n;
CREATE INDEX spend_month_idx ON reporting.spend (month);

-- One value of each type, and the ends of their ranges: each has to come out as it went in.
CREATE TABLE reporting.specimens (
    label text NOT NULL,
    small smallint, whole integer, big bigint, exact numeric, single real, double double precision, flag boolean,
    fixed char(8), bytes bytea, bits bit varying(20), day date, clock time(3), moment timestamptz,
    "moment without zone" timestamp, span interval, network cidr, mac macaddr, place point, box box, ints int4range,
    days datemultirange, document json, matrix integer[][], words text[], address public.postal_address,
    addresses public.postal_address[], role public.user_role, query tsquery, snapshot pg_lsn, owner regclass
);

INSERT INTO reporting.specimens (label) VALUES ('all NULL'), ('');
INSERT INTO reporting.specimens VALUES
(
    'least',
    -32768, -2147483648, -9223372036854775808, '-Infinity', '-Infinity', -1.7976931348623157e308, false,
    '', '', '', '4713-01-01 BC', '00:00', '-infinity',
    '4713-01-01 00:00:00 BC', '-178000000 years', '0.0.0.0/0', '00:00:00:00:00:00', '(-1e300,0)', '(0,0),(-1,-1)',
    'empty', '{}', '{}', '{}', '{}', ROW(NULL, NULL, NULL),
    '{}', 'buyer', '', '0/0', 'pg_class'
), (
    'most',
    32767, 2147483647, 9223372036854775807, 'Infinity', 'Infinity', 1.7976931348623157e308, true,
    'eight  8', '\x00ff5c2e0a0d09', B'10101', '5874897-12-31', '23:59:59.999', 'infinity',
    '294276-12-31 23:59:59.999999', '178000000 years 11 mons 30 days', '2001:db8::/32', 'ff:ff:ff:ff:ff:ff',
    '(1e300,-0)', '(1,1),(0,0)', '[1,)',
    '{[2024-01-01,2024-02-01),[2025-01-01,)}', '{"a" : [1, 2.50, "\u0041\n", null], "a": 2}', '{{1,2},{NULL,4}}',
    ARRAY['', 'NULL', NULL, 'tab' || E'\t', 'quote"', 'back\slash', E'line\nbreak', ' blank ', '{brace}', 'comma,'],
    ROW('1, "High" Street', E'new\nline', '\\'),
    ARRAY[ROW('a,b', '(c)', NULL)::public.postal_address], 'admin-ccs-category', '''sample'' & !''mock'':*',
    'FFFFFFFF/FFFFFFFF', 'reporting.spend'
);
INSERT INTO reporting.specimens (label, exact, single, double, fixed, bytes, day, moment, span, ints, matrix) VALUES
    (E'\\.', 'NaN', 'NaN', '-0', E'\\.', 'plain', '2024-02-29', '2024-03-31 01:30:00.123456+01', '1 day -00:00:01',
        '[1,1]', '[2:3]={7,8}'),
    (E'\n\\.\n\\.\r\n\t', 1e-36, 1.1754944e-38, 5e-324, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE reporting.notes (
    id   integer NOT NULL,
    note text NOT NULL
);
CREATE TABLE reporting.pinned_notes (
    pinned_until date NOT NULL
) INHERITS (reporting.notes);
INSERT INTO reporting.notes SELECT n, sentence(n, 610) FROM generate_series(1, 40) AS n;
INSERT INTO reporting.pinned_notes SELECT n, sentence(n, 610), date '2026-01-01' FROM generate_series(41, 50) AS n;

CREATE TABLE reporting.never_used (
    id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    note text
);
CREATE UNLOGGED TABLE reporting."Cache" (
    "key"   text PRIMARY KEY,
    "value" jsonb
);
INSERT INTO reporting."Cache" SELECT 'page:' || n, jsonb_build_object('hits', n * 3) FROM generate_series(1, 50) AS n;
CREATE STATISTICS reporting.specimen_kinds (dependencies) ON small, whole FROM reporting.specimens;
