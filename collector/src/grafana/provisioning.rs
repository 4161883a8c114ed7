//! Provisioning files of a pack: data source, dashboard provider, alert rules for those who alert in Grafana.

use super::description::{ALERTS, Alert};
use super::query::Lang;

/// Returns relative path and text of each file.
pub(super) fn files(lang: Lang) -> Vec<(&'static str, String)> {
    vec![
        ("datasources/rusta.yaml", data_source(lang).to_owned()),
        ("dashboards/rusta.yaml", PROVIDER.to_owned()),
        ("alerting/rusta.yaml", alerting(lang)),
    ]
}

const PROVIDER: &str = "\
apiVersion: 1
providers:
  - name: rusta
    folder: Rusta
    type: file
    allowUiUpdates: true
    options:
      # Copy this pack's dashboards folder there.
      path: /var/lib/grafana/dashboards/rusta
";

const fn data_source(lang: Lang) -> &'static str {
    match lang {
        Lang::InfluxQl => {
            "\
apiVersion: 1
datasources:
  # InfluxDB 2 and 3 answer InfluxQL when the database name is the bucket's. For InfluxDB 1 leave the two header lines out.
  - name: Rusta InfluxQL
    uid: rusta-influxql
    type: influxdb
    access: proxy
    url: http://127.0.0.1:8086
    jsonData: { dbName: rusta, httpMode: POST, httpHeaderName1: Authorization }
    secureJsonData: { httpHeaderValue1: 'Token $RUSTA_INFLUX_TOKEN' }
"
        }
        Lang::PromQl => {
            "\
apiVersion: 1
datasources:
  - name: Rusta PromQL
    uid: rusta-promql
    type: prometheus
    access: proxy
    url: http://127.0.0.1:8428
    jsonData: { httpMethod: POST, timeInterval: 60s }
"
        }
    }
}

/// Writes the rules. What they ask for is written every minute, so no data is an alarm of its own.
fn alerting(lang: Lang) -> String {
    let mut text = String::from("apiVersion: 1\ngroups:\n  - orgId: 1\n    name: rusta\n    folder: Rusta\n    interval: 1m\n    rules:\n");
    for alert in ALERTS {
        text += &rule(alert, lang);
    }
    text
}

fn rule(alert: &Alert, lang: Lang) -> String {
    // Grafana's interval variable has no meaning in a rule.
    let query = alert.query.text(lang).replace("$__interval", "1m");
    let (uid, model) = match lang {
        Lang::InfluxQl => {
            ("rusta-influxql", format!("{{ refId: A, rawQuery: true, resultFormat: time_series, query: '{}' }}", query.replace('\'', "''")))
        }
        Lang::PromQl => ("rusta-promql", format!("{{ refId: A, instant: false, range: true, expr: '{query}' }}")),
    };
    let Alert { name, title: (fa, en), above, lasting, .. } = alert;
    format!(
        "      - uid: rusta-{lang}-{name}
        title: '{fa} · {en}'
        condition: C
        for: {lasting}
        noDataState: Alerting
        execErrState: Error
        data:
          - refId: A
            relativeTimeRange: {{ from: 600, to: 0 }}
            datasourceUid: {uid}
            model: {model}
          - refId: B
            datasourceUid: __expr__
            model: {{ refId: B, type: reduce, expression: A, reducer: last }}
          - refId: C
            datasourceUid: __expr__
            model: {{ refId: C, type: threshold, expression: B, conditions: [{{ evaluator: {{ type: gt, params: [{above}] }} }}] }}
",
        lang = lang.as_str()
    )
}
