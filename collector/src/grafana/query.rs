//! One small algebra of questions, said in InfluxQL or PromQL.
//!
//! Every panel asks with it, so both packs show the same numbers: the field `f` of measurement `m` is the metric `m_f`
//! for whoever speaks PromQL.

/// The language of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lang {
    /// InfluxDB 1, 2 and 3.
    InfluxQl,
    /// VictoriaMetrics and Prometheus.
    PromQl,
}

impl Lang {
    /// Returns the word used on the command line and in folder names.
    pub const fn as_str(self) -> &'static str {
        match self {
            Lang::InfluxQl => "influxql",
            Lang::PromQl => "promql",
        }
    }
}

impl std::str::FromStr for Lang {
    type Err = String;
    /// Reads the word.
    fn from_str(text: &str) -> Result<Self, String> {
        [Lang::InfluxQl, Lang::PromQl]
            .into_iter()
            .find(|lang| lang.as_str() == text)
            .ok_or_else(|| format!("`{text}` is neither influxql nor promql"))
    }
}

/// What is made of the points of one bucket of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// Their mean: of a state flag over sites, a share.
    Mean,
    /// The largest.
    Max,
    /// Growth of a counter per second.
    Rate,
    /// The sum over all objects of each one's last point; the object is named by these tags.
    SumOfLast(&'static [&'static str]),
    /// The last point of each group.
    Last,
}

/// A restriction on a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Equals this word.
    Is(&'static str),
    /// Matches the dashboard's variable of the tag's own name.
    Chosen,
    /// Matches the dashboard's variable of this name: a county's KPIs have its code as their region.
    ChosenAs(&'static str),
}

impl Filter {
    /// Returns the dashboard's variable that a restriction on `tag` follows.
    pub const fn variable(self, tag: &'static str) -> Option<&'static str> {
        match self {
            Filter::Is(_) => None,
            Filter::Chosen => Some(tag),
            Filter::ChosenAs(name) => Some(name),
        }
    }
}

/// A question to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// Measurement.
    pub measurement: &'static str,
    /// Field.
    pub field: &'static str,
    /// How points fold.
    pub fold: Fold,
    /// Tags that split the answer.
    pub by: &'static [&'static str],
    /// Restrictions.
    pub filters: &'static [(&'static str, Filter)],
}

impl Query {
    /// Says the question in a language, with Grafana's macros for time.
    pub fn text(&self, lang: Lang) -> String {
        match lang {
            Lang::InfluxQl => self.influxql(),
            Lang::PromQl => self.promql(),
        }
    }

    fn influxql(&self) -> String {
        let Query { measurement, field, .. } = self;
        let condition: String = self.filters.iter().map(|(tag, filter)| format!("{} AND ", influx_condition(tag, *filter))).collect();
        let groups = |tags: &[&str]| tags.iter().map(|tag| format!("\"{tag}\"")).collect::<Vec<_>>().join(", ");
        let split = if self.by.is_empty() { String::new() } else { format!(", {}", groups(self.by)) };
        match self.fold {
            Fold::Mean => format!(
                r#"SELECT mean("{field}") FROM "{measurement}" WHERE {condition}$timeFilter GROUP BY time($__interval){split} fill(none)"#
            ),
            Fold::Max => format!(
                r#"SELECT max("{field}") FROM "{measurement}" WHERE {condition}$timeFilter GROUP BY time($__interval){split} fill(none)"#
            ),
            Fold::Rate => format!(
                r#"SELECT non_negative_derivative(max("{field}"), 1s) FROM "{measurement}" WHERE {condition}$timeFilter GROUP BY time($__interval){split} fill(none)"#
            ),
            Fold::SumOfLast(object) => {
                let each: Vec<&str> = object.iter().chain(self.by).copied().collect();
                let inner = format!(
                    r#"SELECT last("{field}") AS "last" FROM "{measurement}" WHERE {condition}$timeFilter GROUP BY {}"#,
                    groups(&each)
                );
                let outer = if self.by.is_empty() { String::new() } else { format!(" GROUP BY {}", groups(self.by)) };
                format!(r#"SELECT sum("last") FROM ({inner}){outer}"#)
            }
            Fold::Last => {
                let outer = if self.by.is_empty() { String::new() } else { format!(" GROUP BY {}", groups(self.by)) };
                // Named, so that a map finds its columns.
                format!(r#"SELECT last("{field}") AS "{field}" FROM "{measurement}" WHERE {condition}$timeFilter{outer}"#)
            }
        }
    }

    fn promql(&self) -> String {
        let Query { measurement, field, .. } = self;
        let labels: Vec<String> = self.filters.iter().map(|(tag, filter)| prom_matcher(tag, *filter)).collect();
        let series = format!("{measurement}_{field}{{{}}}", labels.join(", "));
        let by = self.by.join(", ");
        match self.fold {
            Fold::Mean => format!("avg by ({by}) (avg_over_time({series}[$__interval]))"),
            Fold::Max => format!("max by ({by}) (max_over_time({series}[$__interval]))"),
            Fold::Rate => format!("max by ({by}) (rate({series}[$__rate_interval]))"),
            // Ten minutes: a minute's point may be late, and an object gone from the inventory must leave the sum.
            Fold::SumOfLast(_) => format!("sum by ({by}) (last_over_time({series}[10m]))"),
            Fold::Last => format!("max by ({by}) (last_over_time({series}[10m]))"),
        }
    }
}

fn influx_condition(tag: &'static str, filter: Filter) -> String {
    match filter {
        Filter::Is(word) => format!(r#""{tag}" = '{word}'"#),
        Filter::Chosen => format!(r#""{tag}" =~ /^${tag}$/"#),
        Filter::ChosenAs(name) => format!(r#""{tag}" =~ /^${name}$/"#),
    }
}

fn prom_matcher(tag: &'static str, filter: Filter) -> String {
    match filter {
        Filter::Is(word) => format!(r#"{tag}="{word}""#),
        Filter::Chosen => format!(r#"{tag}=~"${tag}""#),
        Filter::ChosenAs(name) => format!(r#"{tag}=~"${name}""#),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARE: Query =
        Query { measurement: "site_state", field: "up", fold: Fold::Mean, by: &["county"], filters: &[("province", Filter::Chosen)] };

    #[test]
    fn both_languages_ask_the_same() {
        assert_eq!(
            SHARE.text(Lang::InfluxQl),
            r#"SELECT mean("up") FROM "site_state" WHERE "province" =~ /^$province$/ AND $timeFilter GROUP BY time($__interval), "county" fill(none)"#
        );
        assert_eq!(SHARE.text(Lang::PromQl), r#"avg by (county) (avg_over_time(site_state_up{province=~"$province"}[$__interval]))"#);
    }
}
