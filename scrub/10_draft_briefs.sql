-- Drafts were never published, so nobody agreed that anyone else may read them: they go, with all that hangs on them.
--
-- Deletes: briefs that are drafts, and by cascade their users, questions and responses. Copies of a draft stay and
-- forget what they were copied from. Limits: a draft is what the status says; withdrawn briefs stay.

\echo 'Delete draft briefs'
DELETE FROM public.briefs WHERE status = 'draft';
