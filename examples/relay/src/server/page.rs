//! The page for browsers: files of one directory, read when the relay starts and served from memory.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use bytes::Bytes;

/// What all files take together at most, in bytes.
const MAX_BYTES: u64 = 32 << 20;
/// Where the page begins, by which a link of a meeting is answered too.
const INDEX: &str = "index.html";

/// What a browser may do for this page: run its scripts and its wasm, and talk to this relay. Nothing comes from elsewhere.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(self), microphone=(self), display-capture=(self), geolocation=(), usb=(), payment=()",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-cache"),
];

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// A file could not be read.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    /// A page has no file of this kind.
    #[error("{0}: not a file of a page")]
    Kind(PathBuf),
    /// All files together have too many bytes.
    #[error("the page's files have more than {MAX_BYTES} bytes")]
    TooLarge,
    /// There is nothing to begin with.
    #[error("the page has no {INDEX}")]
    NoIndex,
}

#[derive(Debug)]
struct File {
    kind: &'static str,
    plain: Bytes,
    /// The same by gzip, of the file with `.gz` behind its name.
    gzip: Option<Bytes>,
}

/// The page's files, by their names. A request names one of them or gets nothing, so that no path leads out of the directory.
#[derive(Debug, Clone)]
pub struct Page(Arc<HashMap<String, File>>);

fn kind(name: &str) -> Option<&'static str> {
    Some(match name.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "txt" => "text/plain; charset=utf-8",
        _ => return None,
    })
}

impl Page {
    /// Reads the files of a directory.
    ///
    /// # Errors
    /// [`PageError`].
    pub fn load(directory: &Path) -> Result<Self, PageError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| PageError::File(path, error)
        };
        let (mut files, mut packed, mut room) = (HashMap::new(), Vec::new(), MAX_BYTES);
        for entry in std::fs::read_dir(directory).map_err(failed(directory))? {
            let path = entry.map_err(failed(directory))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()).map(str::to_owned) else {
                return Err(PageError::Kind(path));
            };
            let bytes = path.metadata().map_err(failed(&path))?.len();
            room = room.checked_sub(bytes).ok_or(PageError::TooLarge)?;
            let plain = Bytes::from(std::fs::read(&path).map_err(failed(&path))?);
            if let Some(name) = name.strip_suffix(".gz") {
                packed.push((name.to_owned(), plain));
            } else {
                let kind = kind(&name).ok_or(PageError::Kind(path))?;
                files.insert(name, File { kind, plain, gzip: None });
            }
        }
        for (name, gzip) in packed {
            if let Some(file) = files.get_mut(&name) {
                file.gzip = Some(gzip);
            }
        }
        if files.contains_key(INDEX) { Ok(Self(Arc::new(files))) } else { Err(PageError::NoIndex) }
    }

    /// Answers a request.
    pub(super) fn get(&self, uri: &Uri, headers: &HeaderMap) -> Response<Body> {
        let path = uri.path();
        let name = match path.strip_prefix("/m/") {
            Some(meeting) if !meeting.is_empty() && !meeting.contains('/') => INDEX,
            _ if path == "/" => INDEX,
            _ => path.strip_prefix('/').unwrap_or(path),
        };
        let mut response = Response::new(Body::empty());
        if let Some(file) = self.0.get(name) {
            let has_gzip = |value: &str| value.split(',').any(|coding| coding.trim() == "gzip");
            let takes =
                headers.get(header::ACCEPT_ENCODING).and_then(|it| it.to_str().ok()).is_some_and(has_gzip);
            let packed = file.gzip.as_ref().filter(|_| takes);
            let to = response.headers_mut();
            to.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(file.kind));
            to.insert(header::VARY, header::HeaderValue::from_static("accept-encoding"));
            if packed.is_some() {
                to.insert(header::CONTENT_ENCODING, header::HeaderValue::from_static("gzip"));
            }
            *response.body_mut() = Body::from(packed.unwrap_or(&file.plain).clone());
        } else {
            *response.status_mut() = StatusCode::NOT_FOUND;
        }
        for (name, value) in HEADERS {
            response.headers_mut().insert(name, header::HeaderValue::from_static(value));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Page, PageError>) {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        let page = Page::load(directory.path());
        (directory, page)
    }

    #[test]
    fn files_are_served_with_their_kinds_and_the_policy() {
        let files = [("index.html", "<!doctype html>"), ("page.js", "plain"), ("page.js.gz", "packed")];
        let (_directory, page) = page(&files);
        let page = page.unwrap();
        let get = |path: &str, accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, accept.parse().unwrap());
            page.get(&path.parse().unwrap(), &headers)
        };
        for path in ["/", "/m/q7Xn2", "/index.html"] {
            let response = get(path, "br");
            assert_eq!(response.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8", "{path}");
            let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe-inline"));
        }
        let encoding = |accept| get("/page.js", accept).headers().get(header::CONTENT_ENCODING).cloned();
        assert_eq!(encoding("br, gzip").unwrap(), "gzip");
        assert_eq!(encoding("br"), None);
        for path in
            ["/other.js", "/m/", "/m/a/b", "//", "/../Cargo.toml", "/%2e%2e/Cargo.toml", "/page.js.gz"]
        {
            assert_eq!(get(path, "br").status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn a_directory_that_is_no_page_is_refused() {
        assert!(matches!(page(&[("page.js", "")]).1, Err(PageError::NoIndex)));
        assert!(matches!(page(&[("index.html", ""), ("key.pem", "")]).1, Err(PageError::Kind(_))));
        assert!(matches!(Page::load(Path::new("nowhere/at/all")), Err(PageError::File(..))));
    }
}
