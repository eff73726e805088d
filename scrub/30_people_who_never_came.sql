-- Who was invited and never logged in has no use below production, and least reason to be there.
--
-- Deletes: users who were made before the cutoff, never logged in and ordered nothing; by cascade their sessions,
-- subscriptions, notifications and places on briefs. Support messages and responses stay, without an author.
-- Limits: the audit trail keeps such people's events, under their pseudonyms.

\set cutoff '2025-01-01 00:00:00+00'

\echo 'Delete people who never logged in'
DELETE FROM public.users AS u
WHERE u.logged_in_at IS NULL
    AND u.created_at < :'cutoff'
    AND NOT EXISTS (SELECT FROM public."Order" AS o WHERE o."user" = u.id);
