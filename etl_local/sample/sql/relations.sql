-- What refers to what, once all rows are there.

ALTER TABLE public.users ADD FOREIGN KEY (supplier_id) REFERENCES public.suppliers (id) ON DELETE CASCADE;
ALTER TABLE public.sessions ADD FOREIGN KEY (user_id) REFERENCES public.users (id) ON DELETE CASCADE;
ALTER TABLE public.newsletter_subscriptions
    ADD FOREIGN KEY (email_address) REFERENCES public.users (email_address) ON UPDATE CASCADE ON DELETE CASCADE;
ALTER TABLE public.notifications ADD FOREIGN KEY (user_id) REFERENCES public.users (id) ON DELETE CASCADE;
ALTER TABLE public.support_messages ADD FOREIGN KEY (user_id) REFERENCES public.users (id) ON DELETE SET NULL;
ALTER TABLE public.contact_information ADD FOREIGN KEY (supplier_id) REFERENCES public.suppliers (id) ON DELETE CASCADE;
ALTER TABLE public.supplier_frameworks
    ADD FOREIGN KEY (supplier_id) REFERENCES public.suppliers (id) ON DELETE CASCADE,
    ADD FOREIGN KEY (framework_id) REFERENCES public.frameworks (id);
ALTER TABLE public.services
    ADD FOREIGN KEY (supplier_id) REFERENCES public.suppliers (id),
    ADD FOREIGN KEY (framework_id) REFERENCES public.frameworks (id);
ALTER TABLE public.service_revisions ADD FOREIGN KEY (service_id) REFERENCES public.services (id);
ALTER TABLE public.briefs
    ADD FOREIGN KEY (framework_id) REFERENCES public.frameworks (id),
    ADD FOREIGN KEY (copied_from) REFERENCES public.briefs (id) ON DELETE SET NULL;
ALTER TABLE public.brief_users
    ADD FOREIGN KEY (brief_id) REFERENCES public.briefs (id) ON DELETE CASCADE,
    ADD FOREIGN KEY (user_id) REFERENCES public.users (id) ON DELETE CASCADE;
ALTER TABLE public.brief_clarification_questions
    ADD FOREIGN KEY (brief_id) REFERENCES public.briefs (id) ON DELETE CASCADE;
ALTER TABLE public.brief_responses
    ADD FOREIGN KEY (brief_id) REFERENCES public.briefs (id) ON DELETE CASCADE,
    ADD FOREIGN KEY (supplier_id) REFERENCES public.suppliers (id),
    ADD FOREIGN KEY (responder_id) REFERENCES public.users (id) ON DELETE SET NULL;
ALTER TABLE public.briefs
    ADD CONSTRAINT briefs_awarded_response_id_fkey FOREIGN KEY (awarded_response_id)
        REFERENCES public.brief_responses (id) ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE public."Order" ADD FOREIGN KEY ("user") REFERENCES public.users (id);
