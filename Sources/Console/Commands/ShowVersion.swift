import Engine
import Primitives

struct ShowVersion: ShowCommand {
    static let words = "SHOW VERSION"
    static let doc = "Name and version of the program."
    static let columns: [Column<ByteString>] = [
        .text("version", "First line of --version") { $0 }
    ]

    static func rows(_ switchboard: borrowing Switchboard, at moment: Moment) -> [ByteString] {
        [switchboard.process.version]
    }
}
