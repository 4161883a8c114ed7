//! Grafana packs: classic dashboard JSON (`schemaVersion` 42, Grafana 10 to 13) and provisioning files, generated from one
//! description in two query languages.
//!
//! Nothing in a pack loads anything from outside: the map's base layer is a local GeoJSON file.

pub mod description;
pub mod query;

mod provisioning;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

pub use description::{ALERTS, Alert, DASHBOARDS, Dashboard, Draw, Panel};
pub use query::Lang;

use crate::sink::schema;

/// Height of a panel in grid units; a row of numbers is half as high.
const PANEL_HEIGHT: u8 = 9;

/// Arguments of `export-grafana`.
#[derive(Debug, clap::Args)]
pub struct Export {
    /// Query language of the pack: `influxql` or `promql`.
    #[arg(long)]
    lang: Lang,
    /// Directory to write into.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Export {
    /// Writes the pack.
    ///
    /// # Errors
    /// What [`export`] says.
    pub fn run(&self) -> std::io::Result<()> {
        export(self.lang, &self.out)
    }
}

/// Writes a pack into `dir`: `dashboards/*.json`, `provisioning/`, and what all of it asks for in `schema.md`.
///
/// # Errors
/// A file that cannot be written; those before it are complete.
pub fn export(lang: Lang, dir: &Path) -> std::io::Result<()> {
    for dashboard in DASHBOARDS {
        let text = serde_json::to_string_pretty(&render(dashboard, lang)).map_err(std::io::Error::other)?;
        write(&dir.join("dashboards").join(format!("{}.json", dashboard.name)), &(text + "\n"))?;
    }
    write(&dir.join("schema.md"), &schema::document())?;
    for (path, text) in provisioning::files(lang) {
        write(&dir.join("provisioning").join(path), &text)?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(path, text)
}

/// Variables of which several may be chosen at once. Of a site, a region or a KPI there is one at a time.
const PLACES: [&str; 2] = ["province", "county"];

/// Returns the data source of a pack as dashboards name it.
pub(crate) fn data_source(lang: Lang) -> Value {
    match lang {
        Lang::InfluxQl => json!({"type": "influxdb", "uid": "rusta-influxql"}),
        Lang::PromQl => json!({"type": "prometheus", "uid": "rusta-promql"}),
    }
}

/// Returns a dashboard's JSON.
pub fn render(dashboard: &Dashboard, lang: Lang) -> Value {
    let (fa, en) = dashboard.title;
    json!({
        "uid": format!("rusta-{}-{}", lang.as_str(), dashboard.name),
        "title": format!("Rusta · {fa} · {en}"),
        "tags": ["rusta", lang.as_str()],
        "schemaVersion": 42,
        "version": 1,
        "editable": true,
        "graphTooltip": 1,
        "timezone": "Asia/Tehran",
        "weekStart": "saturday",
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "annotations": {"list": outages(dashboard, lang).map(|target| annotation(lang, &target)).into_iter().collect::<Vec<_>>()},
        "templating": {"list": variables(dashboard, lang)},
        "links": links(dashboard, lang),
        "panels": panels(dashboard, lang),
    })
}

/// Asks for the beginnings of outages: of a site's links on its dashboard, of more than one site in twenty elsewhere; `None`
/// where outages explain nothing.
pub fn outages(dashboard: &Dashboard, lang: Lang) -> Option<String> {
    let place = ["site", "county", "province"].into_iter().find(|tag| dashboard.variables.contains(tag))?;
    let query = match (lang, place) {
        (Lang::InfluxQl, "site") => {
            r#"SELECT "begun" FROM (SELECT difference("down") AS "begun" FROM "link_state" WHERE "site" =~ /^$site$/ AND $timeFilter GROUP BY "link") WHERE "begun" > 0"#.to_owned()
        }
        (Lang::PromQl, "site") => r#"link_state_down{site=~"$site"} > 0 unless link_state_down{site=~"$site"} offset 1m > 0"#.to_owned(),
        (Lang::InfluxQl, _) => format!(
            r#"SELECT "begun" FROM (SELECT difference("wide") AS "begun" FROM (SELECT floor(mean("down") * 20) AS "wide" FROM "site_state" WHERE "{place}" =~ /^${place}$/ AND $timeFilter GROUP BY time(1m))) WHERE "begun" > 0"#
        ),
        (Lang::PromQl, _) => {
            let share = format!(r#"avg(site_state_down{{{place}=~"${place}"}}"#);
            format!("{share}) > 0.05 unless {share} offset 1m) > 0.05")
        }
    };
    Some(query)
}

fn annotation(lang: Lang, query: &str) -> Value {
    let target = match lang {
        Lang::InfluxQl => json!({"query": query, "rawQuery": true, "refId": "A", "textColumn": "begun", "tagsColumn": "link"}),
        Lang::PromQl => json!({"expr": query, "refId": "A", "step": "60s", "titleFormat": "{{site}} {{link}}"}),
    };
    json!({
        "name": "آغاز قطعی · outage begins", "enable": true, "iconColor": "red", "hide": false,
        "datasource": data_source(lang), "target": target,
    })
}

fn variables(dashboard: &Dashboard, lang: Lang) -> Vec<Value> {
    let (measurement, field) = dashboard.variables_from;
    let mut list: Vec<Value> = dashboard
        .variables
        .iter()
        .map(|tag| {
            let query = match lang {
                Lang::InfluxQl => json!(format!(r#"SHOW TAG VALUES FROM "{measurement}" WITH KEY = "{tag}""#)),
                Lang::PromQl => json!({"query": format!("label_values({measurement}_{field}, {tag})"), "refId": "A"}),
            };
            json!({
                "name": tag, "label": tag, "type": "query", "query": query, "datasource": data_source(lang), "refresh": 2, "sort": 1,
                "includeAll": PLACES.contains(tag), "multi": PLACES.contains(tag), "hide": 0,
            })
        })
        .collect();
    list.push(json!({
        "name": "rusta", "label": "Rusta", "type": "textbox", "query": "http://127.0.0.1:8080", "hide": 0,
        "current": {"text": "http://127.0.0.1:8080", "value": "http://127.0.0.1:8080"},
    }));
    list
}

fn links(dashboard: &Dashboard, lang: Lang) -> Value {
    let page = match dashboard.name {
        "site" => "${rusta}/sites/${site}",
        "region" => "${rusta}/regions/${county}",
        "kpi" => "${rusta}/kpis?region=${region}",
        "agents" => "${rusta}/agents",
        "services" => "${rusta}/services",
        _ => "${rusta}/",
    };
    json!([
        {"title": "Rusta", "type": "dashboards", "tags": ["rusta", lang.as_str()], "asDropdown": true, "includeVars": true, "keepTime": true},
        {"title": "صفحهٔ روستا · our page", "type": "link", "url": page, "targetBlank": true},
    ])
}

fn panels(dashboard: &Dashboard, lang: Lang) -> Vec<Value> {
    let (mut x, mut y, mut row_height) = (0u8, 0u16, 0u8);
    let mut panels = Vec::with_capacity(dashboard.panels.len());
    for (id, panel) in (1u32..).zip(dashboard.panels) {
        let height = if panel.draw == Draw::Number { PANEL_HEIGHT.div_ceil(2) } else { PANEL_HEIGHT };
        if x + panel.width > 24 {
            (x, y) = (0, y + u16::from(row_height));
            row_height = 0;
        }
        panels.push(render_panel(id, panel, lang, json!({"x": x, "y": y, "w": panel.width, "h": height})));
        (x, row_height) = (x + panel.width, row_height.max(height));
    }
    panels
}

fn render_panel(id: u32, panel: &Panel, lang: Lang, grid: Value) -> Value {
    let (fa, en) = panel.title;
    let kind = match panel.draw {
        Draw::Lines => "timeseries",
        Draw::Number => "stat",
        Draw::Table => "table",
        Draw::Map => "geomap",
    };
    let mut rendered = json!({
        "id": id, "type": kind, "title": format!("{fa} · {en}"), "gridPos": grid, "datasource": data_source(lang),
        "fieldConfig": {"defaults": {"unit": panel.unit, "links": ways_on(panel, lang)}, "overrides": []},
        "options": options(panel.draw),
        "targets": targets(panel, lang),
    });
    if panel.draw == Draw::Map {
        // One row a site, with its columns named as the map asks for them.
        let columns: Map<String, Value> =
            ('A'..='Z').zip(panel.queries).map(|(id, (legend, _))| (format!("Value #{id}"), json!(legend))).collect();
        rendered["transformations"] = json!([
            {"id": "joinByField", "options": {"byField": "site", "mode": "outer"}},
            {"id": "organize", "options": {"renameByName": columns}},
        ]);
    }
    rendered
}

/// Links from what a panel shows one by one, a site or a county, to its dashboard and to our own page.
fn ways_on(panel: &Panel, lang: Lang) -> Vec<Value> {
    let by = panel.queries.iter().flat_map(|(_, query)| query.by.iter());
    let known = [("site", "site", "sites"), ("county", "region", "regions")];
    let found = known.into_iter().find(|(tag, ..)| by.clone().any(|by| by == tag));
    let links = found.map(|(tag, dashboard, page)| {
        let code = match panel.draw {
            Draw::Table | Draw::Map => format!("${{__data.fields.{tag}}}"),
            Draw::Lines | Draw::Number => format!("${{__field.labels.{tag}}}"),
        };
        [
            json!({"title": "داشبورد · dashboard", "url": format!("/d/rusta-{}-{dashboard}?var-{tag}={code}&${{__url_time_range}}", lang.as_str())}),
            json!({"title": "صفحهٔ روستا · our page", "url": format!("${{rusta}}/{page}/{code}"), "targetBlank": true}),
        ]
    });
    links.into_iter().flatten().collect()
}

fn options(draw: Draw) -> Value {
    match draw {
        Draw::Lines => {
            json!({"legend": {"displayMode": "list", "placement": "bottom", "showLegend": true}, "tooltip": {"mode": "multi", "sort": "desc"}})
        }
        Draw::Number => {
            json!({"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false}, "colorMode": "value", "graphMode": "none"})
        }
        Draw::Table => json!({"showHeader": true, "cellHeight": "sm"}),
        Draw::Map => json!({
            "view": {"id": "fit", "allLayers": true},
            "basemap": {"type": "geojson", "name": "local", "config": {"src": "public/maps/rusta.geojson", "rules": [], "style": {"color": {"fixed": "#808080"}, "opacity": 0.3}}},
            "layers": [{
                "type": "markers", "name": "sites",
                "location": {"mode": "coords", "latitude": "lat", "longitude": "lon"},
                "config": {"showLegend": true, "style": {"size": {"fixed": 6}, "color": {"field": "down", "fixed": "green"}}},
            }],
        }),
    }
}

fn targets(panel: &Panel, lang: Lang) -> Vec<Value> {
    let table = matches!(panel.draw, Draw::Table | Draw::Map);
    ('A'..='Z')
        .zip(panel.queries)
        .map(|(id, (legend, query))| {
            let text = query.text(lang);
            let id = id.to_string();
            match lang {
                Lang::InfluxQl => json!({
                    "refId": id, "datasource": data_source(lang), "rawQuery": true, "query": text,
                    "resultFormat": if table { "table" } else { "time_series" }, "alias": legend.replace("{{", "$tag_").replace("}}", ""),
                }),
                Lang::PromQl => json!({
                    "refId": id, "datasource": data_source(lang), "expr": text, "legendFormat": legend, "range": !table, "instant": table,
                    "format": if table { "table" } else { "time_series" },
                }),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
