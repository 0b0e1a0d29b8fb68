import Primitives
import Wire

/// What drivers and pools say on every connection, whatever it leads to. Nothing of it does anything here,
/// except that prepared statements can be dropped.
enum Courtesy: Equatable, Sendable {
    /// No command at all: blanks, comments, a semicolon.
    case nothing
    case begin
    case end(tag: String)
    case done(tag: String)
    case deallocate(ByteString)
    case deallocateAll(tag: String)

    private static let words: [ByteString: Courtesy] = [
        "commit": .end(tag: "COMMIT"), "end": .end(tag: "COMMIT"), "commit transaction": .end(tag: "COMMIT"),
        "commit work": .end(tag: "COMMIT"), "rollback": .end(tag: "ROLLBACK"), "abort": .end(tag: "ROLLBACK"),
        "rollback transaction": .end(tag: "ROLLBACK"), "rollback work": .end(tag: "ROLLBACK"),
        "reset all": .done(tag: "RESET"), "unlisten *": .done(tag: "UNLISTEN"),
        "close all": .done(tag: "CLOSE CURSOR ALL"), "discard all": .deallocateAll(tag: "DISCARD ALL"),
        "deallocate all": .deallocateAll(tag: "DEALLOCATE ALL"),
    ]

    /// `nil`: something else.
    init?(_ text: ByteString) {
        // A long text is none of these, and not worth cutting up.
        guard text.count <= Limits.courtesyBytes, var tokens = try? SQLLexer.tokens(of: text).dropLast()
        else {
            return nil
        }
        if tokens.last?.kind == .symbol(.semicolon) { tokens = tokens.dropLast() }
        guard let first = tokens.first else {
            self = .nothing
            return
        }
        let line = ByteString(Array(tokens.map { $0.text.lowercased.bytes }.joined(separator: [0x20])))
        if let known = Self.words[line] {
            self = known
            return
        }
        let hasSemicolon = tokens.contains { $0.kind == .symbol(.semicolon) }
        if hasSemicolon { return nil }
        if first.isWord("begin") || line.bytes.starts(with: Array("start transaction".utf8)) {
            self = .begin
        } else if line.bytes.starts(with: Array("set session characteristics".utf8)) {
            self = .done(tag: "SET")
        } else if first.isWord("deallocate"), let name = Self.name(tokens.dropFirst()) {
            self = .deallocate(name)
        } else {
            return nil
        }
    }

    private static func name(_ tokens: ArraySlice<SQLToken>) -> ByteString? {
        var tokens = tokens
        if tokens.count == 2, tokens.first?.isWord("prepare") ?? false { tokens = tokens.dropFirst() }
        guard tokens.count == 1 else { return nil }
        switch tokens.first?.kind {
        case .word(let name), .quoted(let name): return name
        case .number, .string, .parameter, .symbol, .end, nil: return nil
        }
    }

    /// Does what there is to do; the tag of the answer.
    func run(for visitor: inout Visitor) -> ByteString {
        switch self {
        case .nothing: return ""
        case .begin:
            visitor.status = .inTransaction
            return "BEGIN"
        case .end(let tag):
            visitor.status = .idle
            return ByteString(tag)
        case .done(let tag): return ByteString(tag)
        case .deallocate(let name):
            visitor.statements[name] = nil
            return "DEALLOCATE"
        case .deallocateAll(let tag):
            visitor.statements = [:]
            return ByteString(tag)
        }
    }
}

extension Command {
    /// The tag of a table's answer.
    func tag(_ rows: Int) -> ByteString {
        switch self {
        case .select: ByteString("SELECT \(rows)")
        case .configDiff: "CONFIG DIFF"
        case .show, .showParameter, .ignoreParameter, .set, .order, .courtesy: "SHOW"
        }
    }

    /// When its wait is over, counted from now.
    func timeout(from now: Instant) -> Visitor.Timeout? {
        guard case .order(_, _, let span?) = self else { return nil }
        return Visitor.Timeout(at: now + span, span: span)
    }

    /// Types of its parameters by number: what Parse declared, and what we have found out beyond that.
    func parameters(_ declared: [UInt32]) -> [UInt32] {
        guard case .select(let select) = self else { return [] }
        return select.parameters.enumerated().map { place, type in
            let number = place < declared.count ? declared[place] : 0
            return SelectParameter.type(number) == nil ? type.column.rawValue : number
        }
    }
}
