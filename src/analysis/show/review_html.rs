//! A review as HTML.

use std::fmt::Write as _;

use super::{
    html::{STYLE, escaped},
    review::{SHOWN, sentence, shown},
};
use crate::analysis::Review;

/// Writes a review as one page of HTML that needs nothing else: for an audit file, a screen, a
/// printer or a screen reader. `title` says what it is of.
#[must_use]
pub fn review_as_html(title: &str, revision: &str, review: &Review) -> String {
    let title = escaped(title);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>\n{STYLE}\n</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n\
         <p>The directory as it is, with the ends of assignments judged at <time>{}</time>, under \
         the policies of the revision <code>{}</code>.</p>\n<h2>Findings</h2>\n",
        review.as_of,
        escaped(revision)
    );
    if review.findings.is_empty() {
        page.push_str("<p>None.</p>\n");
    } else {
        page.push_str("<ol>\n");
        for finding in &review.findings {
            let _ = write!(page, "<li>{}", escaped(&sentence(finding)));
            for row in &finding.rows {
                let _ = write!(page, " <a href=\"#r{0}\">{0}</a>", row + 1);
            }
            page.push_str("</li>\n");
        }
        page.push_str("</ol>\n");
    }
    page.push_str("<table>\n<caption>Assignments</caption>\n<thead>\n<tr><th scope=\"col\">#</th>");
    for column in SHOWN {
        let _ = write!(page, "<th scope=\"col\">{column}</th>");
    }
    page.push_str("</tr>\n</thead>\n<tbody>\n");
    for (at, row) in review.rows.iter().enumerate() {
        let number = at + 1;
        let _ = write!(page, "<tr id=\"r{number}\"><th scope=\"row\">{number}</th>");
        for cell in shown(row) {
            let _ = write!(page, "<td>{}</td>", escaped(&cell));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table>\n</main>\n</body>\n</html>\n");
    page
}
