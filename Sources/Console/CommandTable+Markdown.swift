import Primitives

extension CommandTable {
    /// The console tables of the README, in Markdown: the commands, then the columns of each table.
    package static func markdownTable() -> String {
        var text = "| command | who | what it does |\n|---|---|---|\n"
        for show in shows { text += "| `\(show.words)` | admin, stats | \(show.doc) |\n" }
        let names = FakeParameter.all.map { "`\($0.name)`" }.joined(separator: ", ")
        text += "| `SHOW name`, `SET name = value` | admin, stats | For drivers: \(names). |\n"
        text += "| `\(SetCommand.words) \(SetCommand.usage)` | admin | \(SetCommand.doc) |\n"
        for order in orders {
            let bars = order.usage.split(separator: "|").joined(separator: "\\|")
            let usage = bars.isEmpty ? "" : " " + bars
            let who = order.audience == .admins ? "admin" : "admin, stats"
            text += "| `\(order.words)\(usage)` | \(who) | \(order.doc) |\n"
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
