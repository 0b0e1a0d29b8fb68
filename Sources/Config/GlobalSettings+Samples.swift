import Primitives

/// Texts made from the settings table.
extension GlobalSettings {
    /// The contents of `conf/pglido.ini`: every setting with what it means and its default, commented out.
    public static func sampleIni() -> String {
        var text = """
            ;; Every setting with its default. Generated from the settings table; see README.
            ;; A line that starts with ; or # is a comment. %include FILE reads another file here.

            [databases]
            ;; name = connection string
            ;mydb = host=127.0.0.1 port=5432 dbname=mydb
            ;; names without an entry of their own
            ;* = host=127.0.0.1

            [users]
            ;; name = settings of this user
            ;reporting = pool_mode=session max_user_connections=5

            [peers]
            ;; peer_id = where that process listens
            ;1 = host=127.0.0.1 port=6433

            [pgbouncer]

            """
        let defaults = GlobalSettings()
        for row in rows {
            let value = row.defaultText ?? row.text(in: defaults)
            let assignment = value.isEmpty ? ";\(row.name) =" : ";\(row.name) = \(value.lossyText)"
            text += "\n;; \(row.doc)\(row.isReloadable ? "" : " Counts only at the start.")\n\(assignment)\n"
        }
        return text
    }

    /// The table of settings in the README, in Markdown.
    public static func markdownTable() -> String {
        var text = "| setting | default | changes | meaning |\n|---|---|---|---|\n"
        for row in rows {
            let value = row.defaultText.map { $0.isEmpty ? "empty" : "`\($0.lossyText)`" } ?? "not set"
            let changes =
                switch row.reload {
                case .now: "now"
                case .newConnections: "new connections"
                case .newPools: "now, new servers"
                case .restart: "restart"
                }
            text += "| `\(row.name)` | \(value) | \(changes) | \(row.doc) |\n"
        }
        return text
    }
}
