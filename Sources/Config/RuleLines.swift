import Primitives

/// The lines of an HBA or ident file as fields of tokens, in PostgreSQL's grammar (manual: "The pg_hba.conf
/// File"): blanks between fields, commas inside one, quotes, `#` comments, a backslash at the end of a line,
/// `@file`, `include`, `include_if_exists`, `include_dir`.
struct RuleLines {
    struct Token: Equatable {
        var text: ByteString
        /// Quoted words are names, never keywords.
        var isQuoted: Bool

        func isWord(_ word: ByteString) -> Bool { !isQuoted && text == word }
    }

    struct Line {
        let fields: [[Token]]
        let place: IniFile.Place
    }

    private(set) var lines: [Line] = []
    private let kind: ConfigError.Kind
    private var bytesRead = 0

    init(_ file: ByteString, _ kind: ConfigError.Kind, _ files: FolderReader) throws(ConfigError) {
        self.kind = kind
        try add(file, depth: 0, files)
    }

    private func wrong(_ place: IniFile.Place, _ expected: String) -> ConfigError {
        ConfigError(kind, place, expected: expected)
    }

    // MARK: Files

    private mutating func add(_ file: ByteString, depth: Int, _ files: FolderReader) throws(ConfigError) {
        switch files.read(file) {
        case .failure(let problem):
            throw wrong(IniFile.Place(file: file, line: 0), "could not be opened: " + problem.reason)
        case .success(let text):
            try add(text, of: file, depth: depth, files)
        }
    }

    private mutating func add(
        _ text: ByteString, of file: ByteString, depth: Int, _ files: FolderReader
    ) throws(ConfigError) {
        bytesRead += text.count
        if bytesRead > Limits.totalBytes {
            throw wrong(IniFile.Place(file: file, line: 0), "at most \(Limits.totalBytes) bytes")
        }
        var cursor = ByteCursor(text)
        _ = cursor.skip(bytes: [0xEF, 0xBB, 0xBF])
        var number = 0
        while !cursor.atEnd {
            number += 1
            let place = IniFile.Place(file: file, line: number)
            var line: [UInt8] = []
            while true {
                line += cursor.take { $0 != UInt8(ascii: "\n") }.bytes
                _ = cursor.next()
                if line.last == UInt8(ascii: "\r") { line.removeLast() }
                guard line.last == UInt8(ascii: "\\"), !cursor.atEnd else { break }
                line.removeLast()
                number += 1
            }
            if line.count > Limits.lineBytes {
                throw wrong(place, "a line has at most \(Limits.lineBytes) bytes")
            }
            if line.contains(0) { throw wrong(place, "there is a zero byte in the line") }
            try add(try fields(ByteString(line), place, depth: depth, files), place, depth: depth, files)
        }
    }

    private mutating func add(
        _ fields: [[Token]], _ place: IniFile.Place, depth: Int, _ files: FolderReader
    ) throws(ConfigError) {
        guard let word = fields.first?.first else { return }
        let directives: [ByteString] = ["include", "include_if_exists", "include_dir"]
        guard !word.isQuoted, directives.contains(word.text) else {
            if lines.count >= Limits.accessRules {
                throw wrong(place, "at most \(Limits.accessRules) lines")
            }
            return lines.append(Line(fields: fields, place: place))
        }
        guard fields.count == 2, fields[0].count == 1, fields[1].count == 1 else {
            throw wrong(place, "expected one name behind \(word.text.quotable)")
        }
        if depth >= Limits.includeDepth {
            throw wrong(place, "at most \(Limits.includeDepth) files inside one another")
        }
        let path = Self.path(fields[1][0].text, beside: place.file)
        switch word.text {
        case "include_if_exists":
            switch files.read(path) {
            case .success(let text): try add(text, of: path, depth: depth + 1, files)
            case .failure(let problem):
                if !problem.isMissing { throw wrong(place, "\(path.quotable): " + problem.reason) }
            }
        case "include_dir":
            switch files.list(path) {
            case .failure(let problem): throw wrong(place, "\(path.quotable): " + problem.reason)
            case .success(let names):
                // As PostgreSQL chooses them.
                for name in names.sorted()
                where name.bytes.first != UInt8(ascii: ".") && name.bytes.ends(with: ".conf") {
                    try add(
                        ByteString(path.bytes + [UInt8(ascii: "/")] + name.bytes), depth: depth + 1, files)
                }
            }
        default:
            switch files.read(path) {
            case .success(let text): try add(text, of: path, depth: depth + 1, files)
            case .failure(let problem): throw wrong(place, "\(path.quotable): " + problem.reason)
            }
        }
    }

    /// A relative name counts from the folder of the file that names it.
    private static func path(_ name: ByteString, beside file: ByteString) -> ByteString {
        guard name.bytes.first != UInt8(ascii: "/"), let slash = file.bytes.lastIndex(of: UInt8(ascii: "/"))
        else { return name }
        return ByteString(Array(file.bytes[...slash]) + name.bytes)
    }

    // MARK: Fields

    private mutating func fields(
        _ line: ByteString, _ place: IniFile.Place, depth: Int, _ files: FolderReader
    ) throws(ConfigError) -> [[Token]] {
        var cursor = ByteCursor(line)
        var fields: [[Token]] = []
        var continues = false
        while let token = try token(&cursor, place) {
            var tokens = [token]
            if !token.isQuoted, token.text.count > 1, token.text.bytes.first == UInt8(ascii: "@") {
                let name = ByteString(Array(token.text.bytes.dropFirst()))
                tokens = try members(of: Self.path(name, beside: place.file), place, depth: depth, files)
            }
            if continues, !fields.isEmpty {
                fields[fields.count - 1] += tokens
            } else {
                fields.append(tokens)
            }
            cursor.skip { $0.isBlank }
            continues = cursor.peek == UInt8(ascii: ",")
            if continues, fields.isEmpty { throw wrong(place, "expected a word in front of the comma") }
            cursor.skip { $0 == UInt8(ascii: ",") || $0.isBlank }
        }
        if fields.contains(where: \.isEmpty) { throw wrong(place, "a list is empty") }
        return fields
    }

    /// All words of a file, in the place of `@file`.
    private mutating func members(
        of file: ByteString, _ place: IniFile.Place, depth: Int, _ files: FolderReader
    ) throws(ConfigError) -> [Token] {
        if depth >= Limits.includeDepth {
            throw wrong(place, "at most \(Limits.includeDepth) files inside one another")
        }
        let text: ByteString
        switch files.read(file) {
        case .failure(let problem): throw wrong(place, "\(file.quotable): " + problem.reason)
        case .success(let found): text = found
        }
        bytesRead += text.count
        if bytesRead > Limits.totalBytes { throw wrong(place, "at most \(Limits.totalBytes) bytes") }
        if text.bytes.contains(0) { throw wrong(place, "there is a zero byte in \(file.quotable)") }
        var all: [Token] = []
        for (index, line) in text.bytes.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated()
        {
            let inside = IniFile.Place(file: file, line: index + 1)
            let fields = try fields(ByteString(Array(line)), inside, depth: depth + 1, files)
            all += fields.flatMap { $0 }
        }
        return all
    }

    /// The next word of a line; `nil` at its end or before a comment.
    private func token(_ cursor: inout ByteCursor, _ place: IniFile.Place) throws(ConfigError) -> Token? {
        cursor.skip { $0.isSpace }
        guard let first = cursor.peek, first != UInt8(ascii: "#") else { return nil }
        var text: [UInt8] = []
        var isInQuotes = false
        while let byte = cursor.peek {
            if isInQuotes {
                _ = cursor.next()
                if byte != UInt8(ascii: "\"") {
                    text.append(byte)
                } else if cursor.skip(UInt8(ascii: "\"")) {
                    text.append(byte)
                } else {
                    isInQuotes = false
                }
                continue
            }
            if byte.isSpace || byte == UInt8(ascii: ",") || byte == UInt8(ascii: "#") { break }
            _ = cursor.next()
            if byte == UInt8(ascii: "\"") { isInQuotes = true } else { text.append(byte) }
        }
        if isInQuotes { throw wrong(place, "a quoted word does not end") }
        return Token(text: ByteString(text), isQuoted: first == UInt8(ascii: "\""))
    }
}

/// How files and folders are read: the only way from here to the world.
struct FolderReader {
    let read: (_ path: ByteString) -> Result<ByteString, FileProblem>
    let list: (_ path: ByteString) -> Result<[ByteString], FileProblem>
}

extension [UInt8] {
    fileprivate func ends(with text: StaticString) -> Bool {
        let wanted = ByteString(text).bytes
        return count >= wanted.count && suffix(wanted.count).elementsEqual(wanted)
    }
}
