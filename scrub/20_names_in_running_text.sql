-- Names that stand in another table's row, or in the middle of a sentence: what an expression over one row cannot see.
--
-- Changes: brief_responses.data (e-mail address, specialist, and the responder's name wherever the text has it) and
-- "Order"."Buyer Name" (which has to be the pseudonym that the buyer's own row gets).
-- Limits: in running text only the full name of the person who responded is found. Where nobody is known to have
-- responded, or the name is not in the text, the evidence is replaced by placeholder words as a whole.
-- Keep this before 30_people_who_never_came.sql, after which it is no longer known who responded.

\set leaves '{"$.respondToEmailAddress": "email", "$.specialist.name": "person_name", "$.specialist.phones": "phone"}'

\echo 'Replace responders'' names in the evidence'
UPDATE public.brief_responses AS r
SET data = scrub.json(
    CASE
        WHEN strpos(r.data::text, n.written) > 0 THEN replace(r.data::text, n.written, n.pseudonym)::jsonb
        ELSE scrub.json(r.data, '$.essentialRequirements[*].evidence', 'text')
    END,
    :'leaves'
)
FROM public.brief_responses AS same
LEFT JOIN public.users AS u ON u.id = same.responder_id
-- As JSON writes it, without the quotes.
CROSS JOIN LATERAL (
    SELECT substr(to_jsonb(u.name)::text, 2, length(to_jsonb(u.name)::text) - 2), scrub.person_name(u.name)
) AS n (written, pseudonym)
WHERE same.id = r.id;

\echo 'Give orders the pseudonyms of their buyers'
UPDATE public."Order" AS o
SET "Buyer Name" = scrub.person_name(u.name)
FROM public.users AS u
WHERE u.id = o."user";
