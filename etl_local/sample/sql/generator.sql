-- What every row is made of: functions of the row's number, in a schema that is dropped at the end.
-- Nothing here is random, and nothing depends on the clock: the same scale gives the same data.

CREATE SCHEMA sample_generator;

-- How many rows a table has at this scale, given those at scale 1; a dozen at least.
CREATE FUNCTION sample_generator.scaled(rows integer) RETURNS bigint
LANGUAGE sql STABLE
RETURN greatest(12, round(rows * current_setting('sample_generator.scale')::numeric))::bigint;

-- 0 to `below` - 1. Each use of a row's number has a salt of its own, lest two columns go in step.
CREATE FUNCTION sample_generator.number(n bigint, salt integer, below bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (hashint8extended(n, salt) & 9223372036854775807) % below;

CREATE FUNCTION sample_generator.pick(n bigint, salt integer, choices text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN choices[1 + sample_generator.number(n, salt, cardinality(choices))];

CREATE FUNCTION sample_generator.moment(n bigint, salt integer) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN timestamptz '2023-01-01 00:00:00+00' + sample_generator.number(n, salt, 94608000) * interval '1 second';

CREATE FUNCTION sample_generator.first_name(n bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN sample_generator.pick(n, 101, '{Ada,Ben,Cara,Dev,Ella,Femi,Gwen,Hugo,Ines,Joel,Kofi,Lena,Musa,Nina,Omar,Priya,
Quentin,Ruth,Seth,Tara,Uma,Vera,Will,Xenia,Yusuf,Zoe,Anouk,Bilal,Chloe,Dylan,Esme,Farah}');

CREATE FUNCTION sample_generator.last_name(n bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN sample_generator.pick(n, 102, '{Sample,Specimen,Example,Mock,Placeholder,Testcase,Dummy,Fixture,Stubbs,Demo,
Instance,Prototype,Template,Sandbox,Mannequin,Standin,Facsimile,Replica,Model,Pattern,Draft,Trial,Rehearsal,Nobody,
Noname,Anyone,Someone,Whoever,Invented,Imaginary,Fictional,Synthetic}');

CREATE FUNCTION sample_generator.person(n bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN sample_generator.first_name(n) || ' ' || sample_generator.last_name(n);

-- Domains that RFC 2606 and RFC 6761 keep free.
CREATE FUNCTION sample_generator.email(n bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN lower(sample_generator.first_name(n) || '.' || sample_generator.last_name(n)) || '.' || n || '@'
    || sample_generator.pick(n, 103, '{example.org,example.net,ministry.example,council.example,supplier.example}');

-- Numbers kept for drama, in the spellings that people type.
CREATE FUNCTION sample_generator.phone(n bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN sample_generator.pick(n, 104, '{+44 7700 900,07700900,07700 900,01632 960}')
    || lpad(sample_generator.number(n, 105, 1000)::text, 3, '0');

-- Addresses of the private network 10.0.0.0/8, so that none is one of those that stand in documentation.
CREATE FUNCTION sample_generator.ip(n bigint) RETURNS inet
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '10.0.0.0'::inet + sample_generator.number(n, 106, 16777216);

CREATE FUNCTION sample_generator.hex(n bigint, salt integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN md5(salt || ':' || n);

-- One of 4,096 sentences of about 60 characters.
CREATE FUNCTION sample_generator.sentence(n bigint, salt integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN sample_generator.pick(n, salt, '{The platform,Our service team,Each release,The supplier,Every buyer,
The dashboard,A named specialist,This framework,The help desk,An open standard,The audit trail,Our delivery lead,
The contract,The migration plan,Each environment,The onboarding pack}')
    || ' ' || sample_generator.pick(n, salt + 1, '{reports on,reduces,documents,supports,automates,reviews,protects,
measures,simplifies,publishes,schedules,improves,explains,monitors,replaces,records}')
    || ' ' || sample_generator.pick(n, salt + 2, '{the cost of hosting,incidents within four hours,
user research findings,access for every role,procurement in one place,performance against targets,
the reuse of components,data held in the UK,quarterly service reviews,legacy systems step by step,
backups and recovery,accessibility for all users,
the handover to new teams,changes before they go live,capacity at peak times,evidence for assessors}') || '.';
