//! The monthly report as a file, of a region its reader sees: the published revision, or the month as it stands.

use axum::extract::{Path, Query, State};
use axum::response::Response;

use super::export;
use super::kpis::Shown;
use crate::inventory::Versions;
use crate::persian::Period;
use crate::report::{self, Form};
use crate::web::asked::Asked;
use crate::web::state::WebState;

/// Writes the report of a month. Months of facts are read for it, so only those who signed in may ask.
pub async fn file(State(web): State<WebState>, asked: Asked, Path(form): Path<String>, Query(shown): Query<Shown>) -> Response {
    if asked.visitor.name.is_none() {
        return asked.forbidden();
    }
    let snapshot = web.snapshot();
    let inventory = &snapshot.inventory;
    let region = shown.region(inventory, asked.sight(&snapshot));
    let period = if shown.period.is_empty() { Ok(Period::month_at(asked.at)) } else { shown.period.parse() };
    let (Some(region), Ok(period @ Period::Month(_)), Ok(form)) = (region, period, form.parse::<Form>()) else { return asked.not_found() };
    if let Err(refusal) = asked.took_out("report") {
        return refusal;
    }
    let (store, code, now) = (web.store.clone(), inventory.region(region).code.clone(), asked.at);
    let name = format!("report-{period}-{code}.{form}");
    let written = tokio::task::spawn_blocking(move || {
        let versions = Versions::load(&store)?;
        let frozen = store.read(|tx| report::frozen(tx, &period.to_string(), &code, None))?;
        let content = match &frozen {
            Some(frozen) => Some(frozen.content.clone()),
            None => store.read(|tx| report::gather(tx, &versions, period, &code, now))?,
        };
        content.map(|content| form.write(&content, frozen.as_ref())).transpose()
    });
    match written.await {
        Ok(Ok(Some(bytes))) => export::file(bytes, form.content_type(), &name),
        Ok(Ok(None)) => asked.not_found(),
        Ok(Err(error)) => asked.failed(error.as_ref()),
        Err(error) => asked.failed(&error),
    }
}
