import Config
import Primitives
import Session

/// `CONFIG DIFF`: what a RELOAD would change, without doing it. Not in the table of SHOWs: it reads files, so
/// it is for admins, and a broken file is its error.
enum ConfigDiff {
    private struct Row {
        let section: ByteString
        let name: ByteString
        /// `nil`: not there, or not to be shown.
        let now: ByteString?
        let then: ByteString?
        let effect: ByteString
    }

    static let words = "CONFIG DIFF"
    static let doc = "What a RELOAD would change; changes of passwords are told without them."

    private static let columns: [Column<Row>] = [
        .text("section", "Section of the file, or auth_file") { $0.section },
        .text("name", "Setting, database, user or peer") { $0.name },
        .text("current", "What is in force; NULL when there is nothing, or it is a secret") { $0.now },
        .text("new", "What the file says; NULL when it says nothing, or it is a secret") { $0.then },
        .text("effect", "When it counts: now, new connections, new servers, clients are closed, restart") {
            $0.effect
        },
    ]

    static var headers: [ColumnHeader] { columns.map(\.header) }

    static func cells(
        _ current: Snapshot, _ preview: ConfigurationPreview
    ) -> Result<[[Cell]], ConsoleError> {
        switch preview(current.global.conffile ?? "") {
        case .failure(let errors):
            let lines = errors.errors.map { ByteString($0.text).bytes }.joined(separator: [0x0A])
            return .failure(
                .init(
                    .console(
                        "RELOAD would fail, nothing would change", state: "F0000",
                        detail: ByteString(Array(lines)))))
        case .success(let new):
            return .success(rows(current, new).map { row in columns.map { $0.value(row) } })
        }
    }

    private static func rows(_ old: Snapshot, _ new: Snapshot) -> [Row] {
        let difference = SnapshotDiff(from: old, to: new)
        var rows: [Row] = []
        for setting in GlobalSettings.rows {
            let (now, then) = (setting.shownText(in: old.global), setting.shownText(in: new.global))
            guard
                difference.changedSettings.contains(setting.name)
                    || difference.restartSettings.contains(setting.name)
            else { continue }
            let name = ByteString(setting.name)
            rows.append(
                Row(section: "pgbouncer", name: name, now: now, then: then, effect: effect(of: setting)))
        }
        rows += databases(old, new, difference)
        rows += entries("users", difference.users) {
            old.user(named: $0)?.text
        } _: {
            new.user(named: $0)?.text
        }
        rows += entries("peers", difference.peers) { name in
            old.peers.first { ByteString("\($0.id)") == name }?.text
        } _: { name in
            new.peers.first { ByteString("\($0.id)") == name }?.text
        }
        for name in difference.changedSecrets {
            rows.append(Row(section: "auth_file", name: name, now: nil, then: nil, effect: "now"))
        }
        return rows
    }

    private static func effect(of setting: Setting) -> ByteString {
        switch setting.reload {
        case .now: "now"
        case .newConnections: "new connections"
        case .newPools: "new servers"
        case .restart: "restart"
        }
    }

    private static func databases(_ old: Snapshot, _ new: Snapshot, _ difference: SnapshotDiff) -> [Row] {
        func row(_ name: ByteString, _ effect: ByteString) -> Row {
            Row(
                section: "databases", name: name, now: old.database(named: name)?.text,
                then: new.database(named: name)?.text, effect: effect)
        }
        var rows = difference.databases.added.map { row($0, "now") }
        rows += difference.databases.removed.map { row($0, "clients are closed") }
        rows += difference.databases.changed.map { row($0, "now") }
        rows += difference.retargetedDatabases.map { row($0, "new servers") }
        rows.sort { $0.name < $1.name }
        let effect: ByteString? =
            switch difference.autoDatabase {
            case .same: nil
            case .added, .changed: "now"
            case .retargeted: "new servers"
            case .removed: "clients are closed"
            }
        if let effect {
            rows.append(
                Row(
                    section: "databases", name: "*", now: old.autoDatabase?.text,
                    then: new.autoDatabase?.text,
                    effect: effect))
        }
        return rows
    }

    private static func entries(
        _ section: ByteString, _ changes: SnapshotDiff.Changes, _ now: (ByteString) -> ByteString?,
        _ then: (ByteString) -> ByteString?
    ) -> [Row] {
        (changes.added + changes.removed + changes.changed).sorted().map {
            Row(section: section, name: $0, now: now($0), then: then($0), effect: "now")
        }
    }
}
