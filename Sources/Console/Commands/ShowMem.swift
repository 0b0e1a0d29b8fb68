import Engine
import Primitives

/// PgBouncer's object caches; we have none, and PgBouncer built with threads shows none either.
struct ShowMem: ShowCommand {
    struct Row {
        let name: ByteString
        let size: Int
        let used: Int
        let free: Int
    }

    static let words = "SHOW MEM"
    static let doc = "Object caches; there are none, so the table is empty."
    static let columns: [Column<Row>] = [
        .text("name", "Name of the cache") { $0.name },
        .int4("size", "Bytes of one object") { $0.size },
        .int4("used", "Objects in use") { $0.used },
        .int4("free", "Objects not in use") { $0.free },
        .int4("memtotal", "Bytes of all objects") { $0.size * ($0.used + $0.free) },
    ]

    static func rows(_ switchboard: borrowing Switchboard, at moment: Moment) -> [Row] { [] }
}
