import Primitives

extension CommandTable {
    /// The console tables of the README, in Markdown: the commands, then the columns of each table.
    package static func markdownTable() -> String {
        var text = "| command | who | what it does |\n|---|---|---|\n"
        for show in shows { text += "| `\(show.words)` | admin, stats | \(show.doc) |\n" }
        text += "| `\(ConfigDiff.words)` | admin | \(ConfigDiff.doc) |\n"
        text +=
            "| `SELECT … FROM pools …` | admin, stats | Every table of SHOW, by its second word: columns, "
        text += "`*`, expressions, `WHERE`, `GROUP BY`, `HAVING`, `ORDER BY`, `LIMIT`, `OFFSET`, `DISTINCT`, "
        text += "count, sum, min, max, avg; parameters over the extended protocol. |\n"
        text +=
            "| `BEGIN`, `COMMIT`, `ROLLBACK`, `DISCARD ALL`, `DEALLOCATE` | admin, stats | For drivers. |\n"
        let names = FakeParameter.all.map { "`\($0.name)`" }.joined(separator: ", ")
        text += "| `SHOW name`, `SET name = value` | admin, stats | For drivers: \(names). |\n"
        text += "| `\(SetCommand.words) \(SetCommand.usage)` | admin | \(SetCommand.doc) |\n"
        for order in orders {
            let bars = order.usage.split(separator: "|").joined(separator: "\\|")
            let usage = bars.isEmpty ? "" : " " + bars
            let who = order.audience == .admins ? "admin" : "admin, stats"
            text += "| `\(order.words)\(usage)` | \(who) | \(order.doc) |\n"
        }
        text += "\n`\(ConfigDiff.words)`\n\n| column | type | meaning |\n|---|---|---|\n"
        for column in ConfigDiff.headers {
            text += "| `\(column.name)` | \(column.type.name) | \(column.doc) |\n"
        }
        for show in shows {
            text += "\n`\(show.words)`\n\n| column | type | meaning |\n|---|---|---|\n"
            for column in show.headers {
                text += "| `\(column.name)` | \(column.type.name) | \(column.doc) |\n"
            }
        }
        return text
    }
}
