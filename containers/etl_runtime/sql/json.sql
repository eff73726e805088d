-- Documents: what JSON paths lead to, replaced in one walk for all paths.

-- A JSON path as steps: `:key`, `.*`, `[*]`, `[n]`, `**`. Understood are $, $.key, $."any key", $.*, $[*], $[0] and
-- $.**.key (that key at any depth), in any sequence; anything else raises.
CREATE FUNCTION scrub.path(path text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    step  CONSTANT text := '[.][*][*](?=[.][^*])|[.][*]|[.]"[^"]+"|[.][^].["*]+|[[](?:[*]|[0-9]{1,9})[]]';
    steps text[];
BEGIN
    IF (path ~ ('^[$](?:' || step || ')*$')) IS NOT TRUE THEN
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

-- A tree of steps with one path more: {":contact": {":email": {"=email": {}}, ":name": {"=person_name": {}}}}.
CREATE FUNCTION scrub.json_tree(tree jsonb, path text, function_name text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    steps text[] := scrub.path(path) || ('=' || scrub.function_name(function_name));
BEGIN
    FOR depth IN 1 .. cardinality(steps) LOOP
        tree := jsonb_set(tree, steps[:depth], coalesce(tree #> steps[:depth], '{}'));
    END LOOP;
    RETURN tree;
END
$$;

-- The tree as one flat list, for an array is read faster than a document: of each branch its step (without the colon,
-- which stands for itself), a hint, the number of elements below it, and those. The hint is the function where that is
-- all there is below; with `**`, a path that finds something in each document where one of the keys is. Keys come last,
-- so that what an object's keys lead to is put back at once.
CREATE FUNCTION scrub.json_program(tree jsonb) RETURNS text[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    program text[] := '{}';
    branch  record;
    below   text[];
BEGIN
    FOR branch IN SELECT key, value FROM jsonb_each(tree) ORDER BY key LIKE ':%', key COLLATE "C" LOOP
        below := scrub.json_program(branch.value);
        program := program || left(branch.key, 1) || substr(branch.key, 2)
            || CASE
                WHEN branch.key = '**' THEN (
                    SELECT '$.** ? (' || string_agg('exists(@.' || to_json(substr(k, 2))::text || ')', ' || ') || ')'
                    FROM jsonb_object_keys(branch.value) AS k
                )
                WHEN cardinality(below) = 4 AND below[1] = '=' THEN below[2]
            END || cardinality(below)::text || below;
    END LOOP;
    RETURN program;
END
$$;

-- {"path": "function", ...} as such a list. A constant folds to it once. Without a path all would be let through.
CREATE FUNCTION scrub.json_rules(rules jsonb) RETURNS text[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    tree jsonb := '{}';
    rule record;
BEGIN
    IF coalesce(rules IN ('{}', 'null'), true) THEN
        RAISE EXCEPTION 'the rules of scrub.json name no path' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR rule IN SELECT key, value FROM jsonb_each_text(rules) LOOP
        tree := scrub.json_tree(tree, rule.key, rule.value);
    END LOOP;
    RETURN scrub.json_program(tree);
END
$$;

-- Every leaf of a document. Numbers and booleans become texts (a pseudonym is no number); nulls stay.
CREATE FUNCTION scrub.json_leaves(node jsonb, bare_name text) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    CASE jsonb_typeof(node)
        WHEN 'null' THEN RETURN node;
        WHEN 'object' THEN
            RETURN (
                SELECT coalesce(jsonb_object_agg(key, scrub.json_leaves(value, bare_name)), '{}') FROM jsonb_each(node)
            );
        WHEN 'array' THEN
            RETURN (
                SELECT coalesce(jsonb_agg(scrub.json_leaves(element, bare_name) ORDER BY place), '[]')
                FROM jsonb_array_elements(node) WITH ORDINALITY AS e (element, place)
            );
        ELSE RETURN to_jsonb(scrub.apply(bare_name, node #>> '{}'));
    END CASE;
END
$$;

-- The branches of a program from element `at` to before `stop`, applied to a node.
--
-- Where a step names a key and the node is an array, the step holds for each element, as in JSON path's lax mode: a list
-- where one object was expected is scrubbed too, not passed over.
--
-- PL/pgSQL prepares an expression anew while it is under way further up: what calls itself has a statement of its own.
CREATE FUNCTION scrub.json_walk(node jsonb, program text[], at integer, stop integer) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    kind    text := jsonb_typeof(node);
    next    integer;
    part    jsonb;
    names   text[];
    texts   text[];
BEGIN
    WHILE at < stop LOOP
        next := at + 4 + program[at + 3]::integer;
        IF program[at] = ':' THEN
            IF kind = 'object' THEN
                part := node -> program[at + 1];
                IF jsonb_typeof(part) = 'string' AND program[at + 2] IS NOT NULL THEN
                    names := names || program[at + 1];
                    texts := texts || scrub.apply(program[at + 2], node ->> program[at + 1]);
                ELSIF part IS NOT NULL THEN
                    part := scrub.json_walk(part, program, at + 4, next);
                    node := jsonb_set(node, ARRAY[program[at + 1]], part);
                END IF;
            ELSIF kind = 'array' THEN
                -- All further ones are keys, too.
                RETURN scrub.json_each(node, program, at, stop);
            END IF;
        ELSIF program[at] = '=' THEN
            node := scrub.json_leaves(node, program[at + 1]);
        ELSIF program[at] = '*' THEN
            IF node @? program[at + 2]::jsonpath THEN
                node := scrub.json_deep(node, program[at + 2]::jsonpath, program, at + 4, next);
            END IF;
        ELSIF program[at] = '.' THEN
            IF kind = 'object' THEN
                node := (
                    SELECT coalesce(jsonb_object_agg(e.key, scrub.json_walk(e.value, program, at + 4, next)), '{}')
                    FROM jsonb_each(node) AS e
                );
            ELSIF kind = 'array' THEN
                node := scrub.json_each(node, program, at, next);
            END IF;
        ELSIF kind <> 'array' THEN
            IF program[at + 1] IN ('*]', '0]') THEN node := scrub.json_walk(node, program, at + 4, next); END IF;
        ELSIF program[at + 1] = '*]' THEN
            node := scrub.json_each(node, program, at + 4, next);
        ELSE
            part := node -> rtrim(program[at + 1], ']')::integer;
            IF part IS NOT NULL THEN
                part := scrub.json_walk(part, program, at + 4, next);
                node := jsonb_set(node, ARRAY[rtrim(program[at + 1], ']')], part);
            END IF;
        END IF;
        at := next;
    END LOOP;
    RETURN CASE WHEN names IS NULL THEN node ELSE node || jsonb_object(names, texts) END;
END
$$;

-- The branches applied to each element of an array.
CREATE FUNCTION scrub.json_each(elements jsonb, program text[], at integer, stop integer) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    walked jsonb[] := '{}';
BEGIN
    FOR place IN 0 .. jsonb_array_length(elements) - 1 LOOP
        walked[place] := scrub.json_walk(elements -> place, program, at, stop);
    END LOOP;
    RETURN to_jsonb(walked);
END
$$;

-- The branches, all of them keys, applied to a node and to all that is below it where `path` finds something. What is
-- replaced whole is not looked into: its leaves would be replaced twice.
CREATE FUNCTION scrub.json_deep(node jsonb, path jsonpath, program text[], at integer, stop integer) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    IF jsonb_typeof(node) = 'array' THEN
        RETURN (
            SELECT jsonb_agg(
                CASE WHEN element @? path THEN scrub.json_deep(element, path, program, at, stop) ELSE element END
                ORDER BY place
            )
            FROM jsonb_array_elements(node) WITH ORDINALITY AS e (element, place)
        );
    END IF;
    node := (
        SELECT jsonb_object_agg(e.key, CASE
            WHEN e.value @? path AND NOT scrub.json_leaf(e.key, program, at, stop)
            THEN scrub.json_deep(e.value, path, program, at, stop)
            ELSE e.value
        END)
        FROM jsonb_each(node) AS e
    );
    RETURN scrub.json_walk(node, program, at, stop);
END
$$;

-- Whether a key is one whose value is replaced whole.
CREATE FUNCTION scrub.json_leaf(key text, program text[], at integer, stop integer) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    WHILE at < stop LOOP
        IF program[at + 1] = key THEN RETURN program[at + 2] IS NOT NULL; END IF;
        at := at + 4 + program[at + 3]::integer;
    END LOOP;
    RETURN false;
END
$$;

-- The keys that an object must have one of for the program to change it; NULL where it may change any.
CREATE FUNCTION scrub.json_keys(program text[]) RETURNS text[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    keys text[] := '{}';
    at   integer := 1;
BEGIN
    WHILE at < cardinality(program) LOOP
        IF program[at] <> ':' THEN RETURN NULL; END IF;
        keys := keys || program[at + 1];
        at := at + 4 + program[at + 3]::integer;
    END LOOP;
    RETURN keys;
END
$$;

CREATE FUNCTION scrub.json_run(document jsonb, keys text[], program text[]) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    IF document IS NULL THEN RETURN NULL; END IF;
    IF jsonb_typeof(document) = 'object' THEN
        IF NOT document ?| keys THEN RETURN document; END IF;
        -- What the table has compressed is unpacked here, once, and not by each step.
        document := document || '{}';
    END IF;
    RETURN scrub.json_walk(document, program, 1, cardinality(program) + 1);
END
$$;

CREATE FUNCTION scrub.json_run(document jsonb, program text[]) RETURNS jsonb LANGUAGE sql STABLE PARALLEL SAFE
RETURN scrub.json_run(document, scrub.json_keys(program), program);

-- Replace what a path leads to by a function that scrub.apply knows, the leaves below it where it leads to an object or
-- a list. A document without the path comes out as it is.
CREATE FUNCTION scrub.json(document jsonb, path text, function_name text) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN scrub.json_run(document, scrub.json_program(scrub.json_tree('{}', path, function_name)));

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
