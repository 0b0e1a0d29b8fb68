import Config
import Engine
import Primitives

struct ShowConfig: ShowCommand {
    struct Row {
        let setting: Setting
        let value: ByteString?
    }

    static let words = "SHOW CONFIG"
    static let doc = "Every setting with its value."
    static let columns: [Column<Row>] = [
        .text("key", "Name of the setting") { ByteString($0.setting.name) },
        .text("value", "Its value now; NULL when it has none") { $0.value },
        .text("default", "Its value when the configuration does not say; NULL for none") {
            $0.setting.defaultText
        },
        .text("changeable", "Whether it can change while the pooler runs: yes or no") {
            $0.setting.isReloadable ? "yes" : "no"
        },
    ]

    static func rows(_ switchboard: borrowing Switchboard, at moment: Moment) -> [Row] {
        let global = switchboard.snapshot.global
        return GlobalSettings.rows.map { Row(setting: $0, value: $0.shownText(in: global)) }
    }
}
