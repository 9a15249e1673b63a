//! Gates that ask Prometheus: Debian's own, which scrapes the very registry that asks it.

use crate::rollout_scene::Scene;
use crate::world::{World, eventually};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A Prometheus that ends with its test.
struct Prometheus {
    process: Child,
    _folder: TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Prometheus {
    /// Scrapes a server every second, and answers at a port.
    fn start(port: u16, scraped: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("prometheus.yml");
        let text = format!(
            "global: {{ scrape_interval: 1s }}\nscrape_configs:\n  - job_name: registry\n    static_configs: [ {{ targets: [\"{scraped}\"] }} ]\n"
        );
        std::fs::write(&config, text).unwrap();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, _folder: folder }
    }
}

/// A strategy whose one gate asks this.
fn asking(gate: &str, bake_max: &str) -> String {
    format!(
        r#"{{"kind":"RolloutStrategy","name":"asking",
            "waves":[{{"name":"canary","nodes":{{"count":1}}}},{{"percent":100}}],
            "bake":{{"min":"0s","max":"{bake_max}"}},"limits":{{"unavailable":"100%"}},
            "gates":[{gate}]}}"#
    )
}

#[tokio::test]
async fn a_gate_asks_prometheus_and_no_answer_is_no_leave() {
    let test = "prometheus::a_gate_asks_prometheus_and_no_answer_is_no_leave";
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .any(|folder: std::path::PathBuf| Path::new(&folder).join("prometheus").exists());
    if !found {
        return crate::skip(test, "Debian's prometheus is not installed");
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let scene = Scene::of(World::with(&[("SKEP_REGISTRY_PROMETHEUS", &url)]).await).await;
    // Nobody answers there yet: that is no data, and the gate waits.
    let gate = r#"{"promql":"max(skep_registry_nodes)","atMost":4,"atLeast":4}"#;
    scene.admin.apply(&scene.signed_in_waves(2, &asking(gate, "1h"))).await.unwrap();
    eventually("the gate has no answer", async || {
        scene.runs_where_it_is_offered(2).await;
        let waits_for = scene.detail(2).await.summary.waits_for;
        waits_for.contains("the query has no answer").then_some(())
    })
    .await;
    let scraped = scene.world.address.trim_start_matches("http://").to_owned();
    let _prometheus = Prometheus::start(port, &scraped);
    eventually("every node runs it", async || {
        scene.runs_where_it_is_offered(2).await;
        (scene.detail(2).await.summary.phase == "succeeded").then_some(())
    })
    .await;
    let passed = scene.detail(2).await.evidence;
    let passed = passed.iter().find(|one| one.what == "gate-passed").unwrap();
    assert!(passed.message.contains("the query says 4"), "{}", passed.message);

    let gate = r#"{"promql":"max(skep_registry_nodes)","atMost":3}"#;
    scene.admin.apply(&scene.signed_in_waves(3, &asking(gate, "1h"))).await.unwrap();
    eventually("it goes back", async || {
        scene.runs_where_it_is_offered(3).await;
        (scene.detail(3).await.summary.phase == "rolled back").then_some(())
    })
    .await;
    assert_eq!(scene.detail(3).await.summary.nodes.reverted, 1);

    let gate = r#"{"promql":"max(nothing_of_this_name)","atMost":3}"#;
    scene.admin.apply(&scene.signed_in_waves(4, &asking(gate, "2s"))).await.unwrap();
    eventually("without data it stands still", async || {
        scene.runs_where_it_is_offered(4).await;
        let summary = scene.detail(4).await.summary;
        (summary.phase == "paused" && summary.waits_for.contains("was not decided")).then_some(())
    })
    .await;
}
