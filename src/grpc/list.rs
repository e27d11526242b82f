//! Lists of resources and of principals.

use super::{
    convert::{self, ReadInput},
    decider::{CallContext, Decided, Decider},
    page_tokens::PageTokens,
};
use crate::{
    engine::{ListOptions, ListedEntities, Page, list_entities},
    proto,
    reload::InForce,
    request::{ListInput, Violation},
};

/// The page of a list that a caller asks for.
struct AskedPage {
    size: u32,
    token: String,
}

/// A page with the token of the next one, which is empty where there is none.
struct FoundPage {
    listed: ListedEntities,
    next_page_token: String,
    decided: Decided<()>,
}

impl Decider {
    /// Lists the resources of a type on which a principal may do an action.
    ///
    /// # Errors
    /// Everything that is wrong with the question.
    pub(super) fn list_resources(
        &self,
        in_force: &InForce,
        sent: proto::ListResourcesRequest,
        call: &CallContext,
    ) -> Result<Decided<proto::ListResourcesResponse>, Vec<Violation>> {
        let page = AskedPage { size: sent.page_size, token: sent.page_token.clone() };
        let read = ReadInput::list_resources(sent, &self.options.limits);
        let FoundPage { listed, next_page_token, decided } =
            self.list_page(in_force, read, &page, call)?;
        Ok(decided.with(proto::ListResourcesResponse {
            resources: listed.allowed.iter().map(convert::uid).collect(),
            conditional: listed.conditional.into_iter().map(convert::undecided_entity).collect(),
            next_page_token,
            revision: in_force.store.revision().to_string(),
            directory_version: in_force.directory_version(),
        }))
    }

    /// Lists the principals of a type that may do an action on a resource.
    ///
    /// # Errors
    /// Everything that is wrong with the question.
    pub(super) fn list_principals(
        &self,
        in_force: &InForce,
        sent: proto::ListPrincipalsRequest,
        call: &CallContext,
    ) -> Result<Decided<proto::ListPrincipalsResponse>, Vec<Violation>> {
        let page = AskedPage { size: sent.page_size, token: sent.page_token.clone() };
        let read = ReadInput::list_principals(sent, &self.options.limits);
        let FoundPage { listed, next_page_token, decided } =
            self.list_page(in_force, read, &page, call)?;
        Ok(decided.with(proto::ListPrincipalsResponse {
            principals: listed.allowed.iter().map(convert::uid).collect(),
            conditional: listed.conditional.into_iter().map(convert::undecided_entity).collect(),
            next_page_token,
            revision: in_force.store.revision().to_string(),
            directory_version: in_force.directory_version(),
        }))
    }

    fn list_page(
        &self,
        in_force: &InForce,
        read: ReadInput<ListInput>,
        page: &AskedPage,
        call: &CallContext,
    ) -> Result<FoundPage, Vec<Violation>> {
        let (options, store) = (&self.options, &in_force.store);
        let tokens = PageTokens::of_list(store.name(), &read.input);
        let list = |input: &_| self.list(in_force, input, &tokens, page, call);
        let (listed, input) = read.check(&options.limits, list)?;
        let (allowed, denied) = (listed.allowed.len(), listed.denied);
        self.metrics.listed(store.name(), call.rpc, allowed, denied);
        let record = call.recording.listed_entities(store, &input, &listed, || {
            self.question_of_list(in_force, input.question.clone(), call)
        });
        let next_page_token = listed.next.as_ref().map(|after| tokens.after(after));
        Ok(FoundPage {
            next_page_token: next_page_token.unwrap_or_default(),
            listed,
            decided: Decided {
                response: (),
                allowed,
                denied,
                records: record.into_iter().collect(),
            },
        })
    }

    fn list(
        &self,
        in_force: &InForce,
        input: &ListInput,
        tokens: &PageTokens,
        page: &AskedPage,
        call: &CallContext,
    ) -> Result<ListedEntities, Vec<Violation>> {
        let (options, store) = (&self.options, &in_force.store);
        let after: Option<String> = tokens.read(&page.token).map_err(|error| vec![error.into()])?;
        let most = options.page_items;
        let asked = usize::try_from(page.size).unwrap_or(most);
        let size = if asked == 0 { most } else { asked.min(most) };
        let decide = |request: &_| self.judge(store, request, call.rpc);
        let of_list = ListOptions {
            held: in_force.held(),
            now: call.now,
            limits: &options.limits,
            on_forbid_error: options.on_forbid_error,
        };
        let page = Page { after: after.as_deref(), size };
        list_entities(store.engine(), input, page, of_list, decide)
    }
}
