//! Provisioning files of a pack: data source, dashboard provider, alert rules for those who alert in Grafana.

use super::query::{Fold, Lang, Query};

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

/// One in twenty sites down for ten minutes, and nothing written for ten minutes.
fn alerting(lang: Lang) -> String {
    let share = Query { measurement: "site_state", field: "down", fold: Fold::Mean, by: &["province"], filters: &[] }.text(lang);
    let (uid, model) = match lang {
        Lang::InfluxQl => {
            ("rusta-influxql", format!("{{ refId: A, rawQuery: true, resultFormat: time_series, query: '{}' }}", share.replace('\'', "''")))
        }
        Lang::PromQl => ("rusta-promql", format!("{{ refId: A, instant: false, range: true, expr: '{share}' }}")),
    };
    format!(
        "\
apiVersion: 1
groups:
  - orgId: 1
    name: rusta
    folder: Rusta
    interval: 1m
    rules:
      - uid: rusta-{lang}-sites-down
        title: بیش از ۵٪ سایت‌ها قطع · more than 5 % of sites down
        condition: C
        for: 10m
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
            model: {{ refId: C, type: threshold, expression: B, conditions: [{{ evaluator: {{ type: gt, params: [0.05] }} }}] }}
",
        lang = lang.as_str()
    )
}
