//! Headless Chromium by its driver, with waits instead of sleeps. Refuses to know our pages; a journey names
//! what it looks for by CSS selectors.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use skep_e2e::namespace::Namespace;
use skep_e2e::process::Background;
use skep_e2e::wait;
use thirtyfour::{
    By, CapabilitiesHelper, ChromiumLikeCapabilities, DesiredCapabilities, WebDriver,
};
use tokio::runtime::Runtime;

/// What chromedriver says once it listens.
const LISTENS: &str = "started successfully on port ";

/// One browser window. Everything blocks until it is done.
pub(crate) struct Browser {
    runtime: Runtime,
    window: Option<WebDriver>,
    // Dropped after the window: first who uses the driver, then the driver.
    _driver: Background,
    base: String,
}

impl Browser {
    /// Opens a window of a desktop's size. `base` is the registry's address; its certificate is of a CA that
    /// no browser knows, so the browser is told to accept it.
    ///
    /// The calling thread moves into the registry's namespace, and the browser with it: Chromium drops what it is
    /// loading (`ERR_NETWORK_CHANGED`) whenever an interface comes or goes, as they do on this machine during tests.
    ///
    /// # Errors
    /// When Chromium or its driver is not installed or does not start.
    pub(crate) fn open(within: &Namespace, base: &str, folder: &Path) -> Result<Self> {
        within.enter()?;
        let log = folder.join("chromedriver.log");
        let mut command = Command::new("chromedriver");
        let mut driver = Background::start("chromedriver", command.arg("--port=0"), &log)?;
        let port = wait::until("chromedriver listens", wait::PATIENCE, || {
            driver.check()?;
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let rest = text.split(LISTENS).nth(1);
            Ok(rest.and_then(|rest| rest.split('.').next()?.trim().parse::<u16>().ok()))
        })?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let window = runtime
            .block_on(WebDriver::new(format!("http://127.0.0.1:{port}"), capabilities(folder)?))
            .context("the browser did not start")?;
        Ok(Self { runtime, window: Some(window), _driver: driver, base: base.to_owned() })
    }

    /// Opens a page by its path and waits until it is drawn.
    ///
    /// Chromium drops what it is loading when it finds out, some time after it started, which interfaces there are
    /// (`ERR_NETWORK_CHANGED`). A page whose program did not arrive for that reason is loaded again, as a person does.
    ///
    /// # Errors
    /// When the page is not drawn in time.
    pub(crate) fn go(&self, path: &str) -> Result<()> {
        let url = format!("{}{path}", self.base);
        wait::until(&format!("{path} is drawn"), wait::PATIENCE, || {
            self.runtime
                .block_on(self.window()?.goto(url.as_str()))
                .context("a page did not load")?;
            self.drawn_or_dropped()
        })
    }

    /// Something once the page is drawn, nothing once its program failed to load.
    fn drawn_or_dropped(&self) -> Result<Option<()>> {
        // The server's own page has a heading, too; it is gone once the app is there.
        let drawn = "document.querySelector('#app:not([hidden]) h1') ? 'drawn' : null";
        let dropped = "performance.getEntriesByType('resource').some(e => e.responseEnd > 0 \
                       && e.responseStatus === 0 && /[.](js|wasm)$/.test(e.name)) ? 'dropped' : null";
        let state = self.until("the page is drawn", &format!("({drawn}) ?? ({dropped})"))?;
        Ok((state == "drawn").then_some(()))
    }

    /// Waits until a script's expression is neither null nor false, and returns it.
    ///
    /// # Errors
    /// When it does not become so in time, with what the page says then.
    pub(crate) fn until(&self, what: &str, expression: &str) -> Result<Value> {
        let found = wait::until(what, wait::PATIENCE, || {
            let value = self.evaluate(expression)?;
            Ok((!matches!(value, Value::Null | Value::Bool(false))).then_some(value))
        });
        found.with_context(|| {
            let says = self.evaluate("document.body.innerText").unwrap_or_default();
            format!("the page says: {}", says.as_str().unwrap_or_default())
        })
    }

    /// The text of the first element, once it is there.
    ///
    /// # Errors
    /// When it does not come.
    pub(crate) fn text(&self, css: &str) -> Result<String> {
        let value = self.until(
            &format!("{css} has a text"),
            &format!("document.querySelector({})?.innerText?.trim() || null", json!(css)),
        )?;
        Ok(value.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until the first element's text holds these words.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn until_says(&self, css: &str, words: &str) -> Result<()> {
        let script = format!(
            "document.querySelector({})?.innerText?.includes({}) ?? false",
            json!(css),
            json!(words)
        );
        self.until(&format!("{css} says “{words}”"), &script).map(drop)
    }

    /// Clicks the first element, once it is there, as a person does: it must be visible.
    ///
    /// # Errors
    /// When it does not come or something covers it.
    pub(crate) fn click(&self, css: &str) -> Result<()> {
        self.until(
            &format!("{css} is there"),
            &format!("!!document.querySelector({})", json!(css)),
        )?;
        let window = self.window()?;
        let click = async { window.find(By::Css(css)).await?.click().await };
        self.runtime.block_on(click).with_context(|| format!("{css} could not be clicked"))
    }

    /// Presses a key while an element has the focus.
    ///
    /// # Errors
    /// When there is no such element.
    pub(crate) fn press(&self, css: &str, key: &str) -> Result<()> {
        let window = self.window()?;
        let pressing = async { window.find(By::Css(css)).await?.send_keys(key).await };
        self.runtime.block_on(pressing).with_context(|| format!("no key could be pressed on {css}"))
    }

    /// Types into the first field, in place of what it holds.
    ///
    /// # Errors
    /// When there is no such field.
    pub(crate) fn type_into(&self, css: &str, text: &str) -> Result<()> {
        self.until(
            &format!("{css} is there"),
            &format!("!!document.querySelector({})", json!(css)),
        )?;
        let window = self.window()?;
        let typing = async {
            let field = window.find(By::Css(css)).await?;
            field.clear().await?;
            field.send_keys(text).await
        };
        self.runtime.block_on(typing).with_context(|| format!("{css} could not be typed into"))
    }

    /// Waits until the address is this path, with this beginning.
    ///
    /// # Errors
    /// When it does not become so.
    pub(crate) fn until_at(&self, path: &str) -> Result<()> {
        let script = format!("(location.pathname + location.search).startsWith({})", json!(path));
        self.until(&format!("the address is {path}"), &script).map(drop)
    }

    /// Makes the window as wide as a phone or a desk, in CSS pixels.
    ///
    /// # Errors
    /// When the browser refuses.
    pub(crate) fn width(&self, pixels: u32) -> Result<()> {
        let size =
            json!({ "width": pixels, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", size).map(drop)
    }

    /// Says that the reader likes `light` or `dark`.
    ///
    /// # Errors
    /// When the browser refuses.
    pub(crate) fn theme(&self, name: &str) -> Result<()> {
        let likes = json!([{ "name": "prefers-color-scheme", "value": name }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": likes })).map(drop)
    }

    /// The whole page as a picture, in base64.
    ///
    /// # Errors
    /// When the browser refuses.
    pub(crate) fn picture(&self) -> Result<String> {
        let wish =
            json!({ "format": "png", "captureBeyondViewport": true, "optimizeForSpeed": false });
        let answer = self.devtools("Page.captureScreenshot", wish)?;
        answer["data"].as_str().map(str::to_owned).context("no picture came")
    }

    fn devtools(&self, method: &str, parameters: Value) -> Result<Value> {
        let cdp = self.window()?.cdp();
        let answer = self.runtime.block_on(cdp.send_raw(method, parameters));
        answer.with_context(|| format!("{method} was refused"))
    }

    /// Runs a script in the page and returns what its promise yields.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) fn run(&self, script: &str) -> Result<Value> {
        let wrapped = format!(
            "const done = arguments[arguments.length - 1]; (async () => {{ {script} }})()\
             .then(value => done({{ value }}), error => done({{ error: String(error) }}));"
        );
        let answer = self.runtime.block_on(self.window()?.execute_async(wrapped, Vec::new()));
        let answer = answer.context("a script could not be run in the page")?.json().clone();
        match answer.get("error").and_then(Value::as_str) {
            Some(error) => anyhow::bail!("a script failed in the page: {error}"),
            None => Ok(answer.get("value").cloned().unwrap_or_default()),
        }
    }

    /// The value of an expression in the page.
    ///
    /// # Errors
    /// When it cannot be evaluated.
    pub(crate) fn evaluate(&self, expression: &str) -> Result<Value> {
        let script = format!("return {expression};");
        let answer = self.runtime.block_on(self.window()?.execute(script, Vec::new()));
        Ok(answer.context("a script could not be run in the page")?.json().clone())
    }

    fn window(&self) -> Result<&WebDriver> {
        self.window.as_ref().context("the window is open")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(window) = self.window.take() {
            // The driver ends its browser; when it cannot, both end with the driver's process group.
            let _ = self.runtime.block_on(window.quit());
        }
    }
}

fn capabilities(folder: &Path) -> Result<thirtyfour::ChromeCapabilities> {
    let mut chrome = DesiredCapabilities::chrome();
    chrome.accept_insecure_certs(true)?;
    let profile = format!("--user-data-dir={}", folder.join("chromium").display());
    // Without the sandbox, because Chromium refuses to run as root with it; the pages are our own.
    let arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--disable-dev-shm-usage",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1280,900",
        &profile,
    ];
    arguments.iter().try_for_each(|argument| chrome.add_arg(argument))?;
    Ok(chrome)
}
