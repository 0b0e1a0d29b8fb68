import Foundation

/// One file of the house, as lines; `code` is the same lines with comments and strings blanked out.
struct SourceText: Sendable {
    /// From the top of the repository: "Sources/Wire/MessageKind.swift".
    let path: String
    let lines: [String]
    let code: [String]

    init(path: String, text: String) {
        self.path = path
        lines = text.components(separatedBy: "\n")
        code = CodeScanner.code(of: text).components(separatedBy: "\n")
    }

    /// The folder under `Sources`; empty elsewhere.
    var target: String {
        let parts = path.split(separator: "/")
        return parts.count > 2 && parts[0] == "Sources" ? String(parts[1]) : ""
    }

    /// "path:line: what", as compilers say it.
    func place(_ index: Int, _ what: String) -> String { "\(path):\(index + 1): \(what)" }
}

/// The files of the repository this test was built from.
enum Repository {
    static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    static let sources: [SourceText] = {
        let folder = root.appendingPathComponent("Sources")
        let paths = FileManager.default.enumerator(atPath: folder.path)?.compactMap { $0 as? String } ?? []
        return paths.filter { $0.hasSuffix(".swift") }.sorted().compactMap { path in
            text("Sources/" + path).map { SourceText(path: "Sources/" + path, text: $0) }
        }
    }()

    /// `nil` when there is no such file.
    static func text(_ path: String) -> String? {
        try? String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
    }

    static let targetFolders: [String] = {
        let folder = root.appendingPathComponent("Sources").path
        return ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
    }()
}

/// Blanks comments and the insides of strings, and keeps every line break and column.
struct CodeScanner {
    private enum Mode {
        /// `depth`: open parentheses of an interpolation, which ends at zero; `nil` outside strings.
        case code(depth: Int?)
        case string(quotes: Int, hashes: Int)
        case lineComment
        case blockComment(depth: Int)
    }

    private let bytes: [UInt8]
    private var index = 0
    private var modes = [Mode.code(depth: nil)]
    private var output: [UInt8] = []

    static func code(of text: String) -> String {
        var scanner = CodeScanner(bytes: Array(text.utf8))
        while scanner.index < scanner.bytes.count { scanner.step() }
        return String(decoding: scanner.output, as: UTF8.self)
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private mutating func step() {
        switch modes[modes.count - 1] {
        case .code(let depth): stepCode(depth)
        case .string(let quotes, let hashes): stepString(quotes, hashes)
        case .lineComment:
            if bytes[index] == UInt8(ascii: "\n") { modes.removeLast() }
            blank(1)
        case .blockComment(let depth):
            if stands("*/") {
                setMode(.blockComment(depth: depth - 1), unless: depth == 1)
                blank(2)
            } else if stands("/*") {
                setMode(.blockComment(depth: depth + 1))
                blank(2)
            } else {
                blank(1)
            }
        }
    }

    private mutating func stepCode(_ depth: Int?) {
        if stands("//") { return enter(.lineComment, 2) }
        if stands("/*") { return enter(.blockComment(depth: 1), 2) }
        var hashes = 0
        while index + hashes < bytes.count, bytes[index + hashes] == UInt8(ascii: "#") { hashes += 1 }
        if stands("\"\"\"", at: hashes) { return enter(.string(quotes: 3, hashes: hashes), hashes + 3) }
        if stands("\"", at: hashes) { return enter(.string(quotes: 1, hashes: hashes), hashes + 1) }
        if let depth {
            if stands("(") { setMode(.code(depth: depth + 1)) }
            if stands(")") {
                setMode(.code(depth: depth - 1), unless: depth == 1)
                if depth == 1 { return blank(1) }
            }
        }
        output.append(bytes[index])
        index += 1
    }

    private mutating func stepString(_ quotes: Int, _ hashes: Int) {
        let hash = String(repeating: "#", count: hashes)
        if stands("\\" + hash + "(") { return enter(.code(depth: 1), hashes + 2) }
        if hashes == 0, stands("\\") { return blank(2) }
        if stands(String(repeating: "\"", count: quotes) + hash) {
            modes.removeLast()
            return blank(quotes + hashes)
        }
        // A one-line string cannot go on in the next line: better to lose one line than the rest of the file.
        if quotes == 1, stands("\n") { modes.removeLast() }
        blank(1)
    }

    private mutating func enter(_ mode: Mode, _ count: Int) {
        modes.append(mode)
        blank(count)
    }

    private mutating func setMode(_ mode: Mode, unless isOver: Bool = false) {
        modes.removeLast()
        if !isOver { modes.append(mode) }
    }

    private func stands(_ text: String, at offset: Int = 0) -> Bool {
        bytes[min(index + offset, bytes.count)...].starts(with: text.utf8)
    }

    private mutating func blank(_ count: Int) {
        for byte in bytes[index..<min(index + count, bytes.count)] {
            output.append(byte == UInt8(ascii: "\n") ? byte : UInt8(ascii: " "))
        }
        index += count
    }
}
