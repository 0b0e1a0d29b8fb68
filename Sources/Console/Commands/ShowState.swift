import Engine
import Primitives

struct ShowState: ShowCommand {
    static let words = "SHOW STATE"
    static let doc = "Whether the pooler as a whole is active, paused or suspended."
    static let columns: [Column<(key: ByteString, value: Bool)>] = [
        .text("key", "active, paused, suspended") { $0.key },
        .text("value", "yes or no") { $0.value ? "yes" : "no" },
    ]

    static func rows(
        _ switchboard: borrowing Switchboard, at moment: Moment
    ) -> [(key: ByteString, value: Bool)] {
        let mode = switchboard.mode
        return [
            ("active", mode == .active && !moment.isKilled),
            ("paused", mode == .paused || mode == .active && moment.isKilled),
            ("suspended", mode == .suspended),
        ]
    }
}
