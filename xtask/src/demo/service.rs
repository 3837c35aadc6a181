//! The demonstrated service: nginx on a free loopback port, its pages and a private file.
//!
//! The port is chosen once, so that the learned bind is the enforced one.

use crate::repository::Repository;
use anyhow::Context;
use anyhow::Result;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;

/// A served folder, a configuration and a port.
#[derive(Debug)]
pub(super) struct Site {
    folder: PathBuf,
    port: u16,
}

impl Site {
    /// Makes the folder, its pages and the private file beside them.
    pub(super) fn make(repository: &Repository, secret: &str) -> Result<Self> {
        let folder = repository.fresh_folder("demo")?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        for name in ["htdocs", "private", "run"] {
            fs::create_dir(folder.join(name))?;
        }
        fs::write(folder.join("htdocs/index.html"), "<h1>Welcome</h1>\n")?;
        fs::write(folder.join("private/customers.csv"), format!("{secret}\n"))?;
        fs::write(folder.join("nginx.conf"), configuration(&folder, port))?;
        Ok(Self { folder, port })
    }

    /// The folder that commands of the demonstration run in.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The address of a page.
    pub(super) fn address(&self, page: &str) -> String {
        format!("http://127.0.0.1:{}{page}", self.port)
    }

    /// The loopback socket that the service listens on.
    pub(super) fn socket(&self) -> (&'static str, u16) {
        ("127.0.0.1", self.port)
    }

    /// The service's own command.
    pub(super) fn nginx_command(&self) -> Vec<String> {
        let configuration = self.folder.join("nginx.conf").display().to_string();
        ["nginx", "-e", "stderr", "-c", &configuration].map(str::to_owned).to_vec()
    }

    /// The service's command with quixote and its options before it.
    pub(super) fn under_quixote(&self, options: &[&str]) -> Vec<String> {
        let own = ["quixote"].iter().chain(options).chain(&["--"]).map(|word| (*word).to_owned());
        own.chain(self.nginx_command()).collect()
    }

    /// What the attacker does: a link in the served folder to the private file.
    pub(super) fn plant_symlink(&self) -> Result<()> {
        std::os::unix::fs::symlink("../private/customers.csv", self.link()).context("symlink")
    }

    /// Takes the link away again.
    pub(super) fn remove_symlink(&self) -> Result<()> {
        fs::remove_file(self.link()).context("symlink")
    }

    fn link(&self) -> PathBuf {
        self.folder.join("htdocs/offers.html")
    }
}

/// nginx in the foreground with one worker, writing only below the demonstration's folder.
fn configuration(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    format!(
        "daemon off;
worker_processes 1;
user root;
pid {folder}/run/nginx.pid;
error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/run/body;
    proxy_temp_path {folder}/run/proxy;
    fastcgi_temp_path {folder}/run/fastcgi;
    uwsgi_temp_path {folder}/run/uwsgi;
    scgi_temp_path {folder}/run/scgi;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/htdocs;
    }}
}}
"
    )
}
