import Primitives

/// One thing a scripted client does.
enum Step: Equatable {
    case query(String)
    case parse(String, String)
    case bind(portal: String, statement: String, token: String)
    case describe(Character, String)
    case execute(String, limit: Int)
    case closeName(Character, String)
    case sync, flush
    case copyData(Int)
    case copyDone, copyFail
    case call(String)
    case terminate
    /// A message with a length that no message has.
    case broken(UInt8, length: UInt32)
    /// What stands before and what follows have nothing to do with each other: whoever comes again begins
    /// here.
    case round
    /// Wait until everything asked has been answered (or the server waits for COPY rows).
    case await
    /// Do nothing for so many microseconds.
    case rest(Int)
    /// Read nothing for so many microseconds, from now on.
    case deaf(Int)
    /// Somebody asks for the cancellation of this client's query: so many microseconds from now; with the
    /// right key or not; going away at once or waiting for the end.
    case cancel(after: Int, rightKey: Bool, waits: Bool)
    /// Write only so many bytes of the next message, then be gone.
    case cut(Int)
    /// Be gone: closed in order or reset.
    case vanish(reset: Bool)
    /// Say no more, and read on.
    case halfClose

    /// The message on the wire, for steps that are one.
    func write(into out: inout Bytes) {
        switch self {
        case .query(let sql): out.message("Q") { $0.append(cString: Self.padded(sql)) }
        case .parse(let name, let sql):
            out.message("P") {
                $0.append(cString: name)
                $0.append(cString: Self.padded(sql))
                $0.append(uint16: 0)
            }
        case .bind(let portal, let statement, let token):
            out.message("B") {
                $0.append(cString: portal)
                $0.append(cString: statement)
                $0.append(uint16: 0)
                $0.append(uint16: 1)
                let value = Self.padded(token)
                $0.append(uint32: UInt32(value.count))
                $0.append(contentsOf: value)
                $0.append(uint16: 0)
            }
        case .describe(let kind, let name): Self.target("D", kind, name, &out)
        case .closeName(let kind, let name): Self.target("C", kind, name, &out)
        case .execute(let portal, let limit):
            out.message("E") {
                $0.append(cString: portal)
                $0.append(uint32: UInt32(limit))
            }
        case .sync: out.message("S")
        case .flush: out.message("H")
        case .copyData(let count):
            out.message("d") { $0.append(contentsOf: repeatElement(0x78, count: count)) }
        case .copyDone: out.message("c")
        case .copyFail: out.message("f") { $0.append(cString: "no") }
        case .call(let token):
            out.message("F") {
                $0.append(uint32: 1)
                $0.append(uint16: 0)
                $0.append(uint16: 1)
                $0.append(uint32: UInt32(token.utf8.count))
                $0.append(contentsOf: token.utf8)
                $0.append(uint16: 0)
            }
        case .terminate: out.message("X")
        case .broken(let kind, let length):
            out.append(kind)
            out.append(uint32: length)
        case .round, .await, .rest, .deaf, .cancel, .cut, .vanish, .halfClose: break
        }
    }

    /// `…@1000` stands for a thousand more bytes, so that scripts stay short.
    static func padded(_ text: String) -> Bytes {
        var bytes = Array(text.utf8)
        guard let mark = bytes.lastIndex(of: 0x40), let count = Array(bytes[(mark + 1)...]).decimal else {
            return bytes
        }
        bytes.removeSubrange(mark...)
        bytes.append(contentsOf: repeatElement(0x78, count: min(count, 1 << 20)))
        return bytes
    }

    private static func target(_ message: Character, _ kind: Character, _ name: String, _ out: inout Bytes) {
        out.message(message) {
            $0.append(kind.asciiValue ?? 0)
            $0.append(cString: name)
        }
    }
}

extension Step {
    /// One line of a script file.
    var line: String {
        func named(_ name: String) -> String { name.isEmpty ? "-" : name }
        switch self {
        case .query(let sql): return "query \(sql)"
        case .parse(let name, let sql): return "parse \(named(name)) \(sql)"
        case .bind(let portal, let name, let token): return "bind \(named(portal)) \(named(name)) \(token)"
        case .describe(let kind, let name): return "describe \(kind) \(named(name))"
        case .execute(let portal, let limit): return "execute \(named(portal)) \(limit)"
        case .closeName(let kind, let name): return "close \(kind) \(named(name))"
        case .sync: return "sync"
        case .flush: return "flush"
        case .copyData(let count): return "copydata \(count)"
        case .copyDone: return "copydone"
        case .copyFail: return "copyfail"
        case .call(let token): return "call \(token)"
        case .terminate: return "terminate"
        case .broken(let kind, let length): return "broken \(kind) \(length)"
        case .round: return "round"
        case .await: return "await"
        case .rest(let span): return "rest \(span)"
        case .deaf(let span): return "deaf \(span)"
        case .cancel(let after, let rightKey, let waits): return "cancel \(after) \(rightKey) \(waits)"
        case .cut(let count): return "cut \(count)"
        case .vanish(let reset): return "vanish \(reset)"
        case .halfClose: return "halfclose"
        }
    }

    init?(line: String) {
        let parts = line.split(separator: " ", maxSplits: 1).map(String.init)
        guard let verb = parts.first else { return nil }
        let rest = parts.count > 1 ? parts[1] : ""
        let words = rest.split(separator: " ").map(String.init)
        func word(_ index: Int) -> String { index < words.count ? words[index] : "" }
        func name(_ index: Int) -> String { word(index) == "-" ? "" : word(index) }
        func number(_ index: Int) -> Int { Int(word(index)) ?? 0 }
        let kind = word(0).first ?? "S"
        switch verb {
        case "query": self = .query(rest)
        case "parse":
            let split = rest.split(separator: " ", maxSplits: 1).map(String.init)
            self = .parse(name(0), split.count > 1 ? split[1] : "")
        case "bind": self = .bind(portal: name(0), statement: name(1), token: word(2))
        case "describe": self = .describe(kind, name(1))
        case "execute": self = .execute(name(0), limit: number(1))
        case "close": self = .closeName(kind, name(1))
        case "sync": self = .sync
        case "flush": self = .flush
        case "copydata": self = .copyData(number(0))
        case "copydone": self = .copyDone
        case "copyfail": self = .copyFail
        case "call": self = .call(word(0))
        case "terminate": self = .terminate
        case "broken":
            guard let kind = UInt8(word(0)), let length = UInt32(word(1)) else { return nil }
            self = .broken(kind, length: length)
        case "round": self = .round
        case "await": self = .await
        case "rest": self = .rest(number(0))
        case "deaf": self = .deaf(number(0))
        case "cancel": self = .cancel(after: number(0), rightKey: word(1) == "true", waits: word(2) == "true")
        case "cut": self = .cut(number(0))
        case "vanish": self = .vanish(reset: word(0) == "true")
        case "halfclose": self = .halfClose
        default: return nil
        }
    }
}
