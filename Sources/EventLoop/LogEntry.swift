import Primitives

/// How lines are written.
package enum LogFormat: Sendable {
    /// As PgBouncer writes them.
    case text
    /// One JSON object a line.
    case json
}

/// A line to be logged, taken apart.
///
/// The engine sends plain text, or, under `log_format = json`, parts with zero bytes between them: an empty
/// one, `C` or `S`, the link, database, user, address, text. Names come from the network and can look like
/// anything, but they cannot have a zero byte, so the parts are what they are.
struct LogEntry {
    struct Link {
        /// `C` for a client, `S` for a server.
        let side: ByteView
        let pointer: ByteView
        let database: ByteView
        let user: ByteView
        let address: ByteView
    }

    let link: Link?
    let text: ByteView

    init(_ line: ByteView) {
        guard line[0] == 0 else {
            link = nil
            text = line
            return
        }
        var parts: [ByteView] = []
        var place = 1
        while parts.count < 5 {
            guard let end = line.rawBuffer[place...].firstIndex(of: 0) else { break }
            parts.append(line.slice(place, end - place))
            place = end + 1
        }
        text = line.slice(place)
        guard parts.count == 5 else {
            link = nil
            return
        }
        link = Link(side: parts[0], pointer: parts[1], database: parts[2], user: parts[3], address: parts[4])
    }

    /// In PgBouncer's form.
    func appendText(to line: inout ByteBuffer) {
        guard let link else { return LogText.append(text, to: &line) }
        var whole = ByteBuffer(capacity: 256)
        whole.append(link.side)
        whole.append("-0x")
        whole.append(link.pointer)
        whole.append(": ")
        whole.append(link.database)
        whole.append("/")
        whole.append(link.user)
        whole.append("@")
        whole.append(link.address)
        whole.append(" ")
        whole.append(text)
        LogText.append(whole.view, to: &line)
    }

    /// As one JSON object. `nanoseconds` count from 1970.
    func appendJSON(_ level: Severity, _ processID: Int32, nanoseconds: UInt64, to line: inout ByteBuffer) {
        line.append("{\"time\":\"")
        line.append(Self.time(nanoseconds))
        line.append("\",\"level\":\"")
        line.append(level.word)
        line.append("\",\"pid\":")
        line.append(decimal: processID)
        line.append(",\"event\":\"")
        line.append(LogEvent.name(of: text))
        line.append("\"")
        if let link {
            Self.append("side", link.side.hasPrefix("C") ? "client" : "server", to: &line)
            Self.append("link", link.pointer, to: &line)
            Self.append("database", link.database, to: &line)
            Self.append("user", link.user, to: &line)
            Self.append("address", link.address, to: &line)
        }
        Self.append("message", text, to: &line)
        appendParts(to: &line)
        line.append("}")
    }

    /// Numbers and reasons that lines of some kinds carry.
    private func appendParts(to line: inout ByteBuffer) {
        if text.hasPrefix("closing because: ") {
            let closing = text.lossyText.dropFirst("closing because: ".utf8.count)
            guard closing.hasSuffix("s)"), let age = closing.range(ofLast: " (age=") else { return }
            Self.append("reason", ByteString(String(closing[..<age.lowerBound])), to: &line)
            if let seconds = Int(closing[age.upperBound...].dropLast(2)) {
                line.append(",\"age_seconds\":")
                line.append(decimal: seconds)
            }
        } else if text.hasPrefix("stats: ") {
            let numbers = text.lossyText.split { !($0.isASCII && $0.isNumber) }.compactMap { Int($0) }
            for (key, number) in zip(Self.statsKeys, numbers) {
                line.append(",\"")
                line.append(key)
                line.append("\":")
                line.append(decimal: number)
            }
        }
    }

    /// Of the numbers of a line of statistics, in their order.
    private static let statsKeys: [StaticString] = [
        "xacts_per_second", "queries_per_second", "client_parses_per_second", "server_parses_per_second",
        "binds_per_second", "client_logins_per_second", "in_bytes_per_second", "out_bytes_per_second",
        "xact_microseconds", "query_microseconds", "wait_microseconds",
    ]

    private static func append(_ key: StaticString, _ value: ByteString, to line: inout ByteBuffer) {
        value.withView { append(key, $0, to: &line) }
    }

    private static func append(_ key: StaticString, _ value: ByteView, to line: inout ByteBuffer) {
        line.append(",\"")
        line.append(key)
        line.append("\":\"")
        var printable = ByteBuffer(capacity: value.count + 16)
        LogText.append(value, to: &printable)
        for byte in printable.view.rawBuffer {
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { line.append(UInt8(ascii: "\\")) }
            line.append(byte)
        }
        line.append("\"")
    }

    /// RFC 3339, in UTC, to the millisecond. Days are counted from the first of March of a leap century's
    /// year, so that the day that comes and goes is the last of its year.
    static func time(_ nanoseconds: UInt64) -> String {
        let milliseconds = nanoseconds / 1_000_000
        let secondOfDay = Int(milliseconds / 1000 % 86_400)
        let days = Int(milliseconds / 86_400_000) + 719_468
        let era = days / 146_097
        let dayOfEra = days % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shifted + 2) / 5 + 1
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let time = "\(two(secondOfDay / 3600)):\(two(secondOfDay / 60 % 60)):\(two(secondOfDay % 60))"
        let rest = Int(milliseconds % 1000)
        return "\(year)-\(two(month))-\(two(day))T\(time).\(rest < 100 ? "0" : "")\(two(rest))Z"
    }

    private static func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
}

extension Substring {
    /// Where a text stands last.
    fileprivate func range(ofLast wanted: String) -> Range<Index>? {
        var start = endIndex
        while start > startIndex {
            start = index(before: start)
            if self[start...].hasPrefix(wanted) { return start..<index(start, offsetBy: wanted.count) }
        }
        return nil
    }
}
