public import Primitives

/// The lines of a configuration file and of the files it includes: sections, keys, values and where they
/// stand. What they mean is not known here.
///
/// Rules, as in PgBouncer: `;` and `#` start a comment only at the start of a line; a value reaches to the
/// end of its line; an included file starts in the section it is included in, and the section it ends in goes
/// on.
public struct IniFile: Sendable {
    public struct Place: Equatable, Sendable {
        public let file: ByteString
        /// From 1; 0 for the file as a whole.
        public let line: Int
    }

    public struct Entry: Equatable, Sendable {
        /// `nil` before the first section.
        public let section: ByteString?
        public let key: ByteString
        public let value: ByteString
        public let place: Place
    }

    public struct Section: Equatable, Sendable {
        public let name: ByteString
        public let place: Place
    }

    public private(set) var sections: [Section] = []
    public private(set) var entries: [Entry] = []
    public private(set) var errors: [ConfigError] = []

    /// A file that is being read; several while files include files.
    private struct Reading {
        let path: ByteString
        var cursor: ByteCursor
        var line = 0
        var place: Place { Place(file: path, line: line) }
    }

    private var files: [Reading] = []
    private var bytesRead = 0

    /// Reads a file. What is wrong stands in `errors`; what could be understood is in the other lists.
    public static func read(_ path: ByteString, with reader: FileReader) -> IniFile {
        var ini = IniFile()
        _ = ini.open(path, reader)
        while ini.errors.count < Limits.errors, let line = ini.nextLine() { ini.understand(line, reader) }
        ini.files = []
        ini.bytesRead = 0
        return ini
    }

    private var place: Place { files.last?.place ?? Place(file: "", line: 0) }

    private mutating func report(_ kind: ConfigError.Kind, expected: String = "") {
        errors.append(ConfigError(kind, place, expected: expected))
    }

    // MARK: Files

    private mutating func open(_ path: ByteString, _ reader: FileReader) -> Bool {
        let whole = Place(file: path, line: 0)
        switch reader(path) {
        case .failure(let problem):
            errors.append(ConfigError(.unreadable, whole, expected: problem.reason))
            return false
        case .success(let text):
            bytesRead += text.count
            if bytesRead > Limits.totalBytes {
                errors.append(ConfigError(.tooLarge, whole, expected: "at most \(Limits.totalBytes) bytes"))
                files = []
                return false
            }
            var file = Reading(path: path, cursor: ByteCursor(text))
            // The mark that some editors put in front of UTF-8.
            _ = file.cursor.skip(bytes: [0xEF, 0xBB, 0xBF])
            files.append(file)
            return true
        }
    }

    /// The next line of the innermost file that has one, without its end.
    private mutating func nextLine() -> ByteString? {
        while var file = files.popLast() {
            if file.cursor.atEnd { continue }
            let text = file.cursor.take { $0 != UInt8(ascii: "\n") }
            _ = file.cursor.next()
            file.line += 1
            files.append(file)
            return text
        }
        return nil
    }

    private mutating func include(_ path: ByteString, _ reader: FileReader) {
        let here = place
        if path.isEmpty { return report(.syntax, expected: "%include needs the name of a file") }
        // Neither can be skipped: what the rest means may depend on the file.
        if files.count > Limits.includeDepth {
            report(.includeTooDeep, expected: "at most \(Limits.includeDepth) files inside one another")
            files = []
        } else if !open(path, reader) {
            errors.append(ConfigError(.includeFailed, here, found: path))
            files = []
        }
    }

    // MARK: Lines

    private mutating func understand(_ line: ByteString, _ reader: FileReader) {
        guard line.count <= Limits.lineBytes else {
            return report(
                .syntax, expected: "a line may have \(Limits.lineBytes) bytes, this one has \(line.count)")
        }
        guard !line.bytes.contains(0) else {
            return report(.syntax, expected: "there is a zero byte in the line")
        }
        var cursor = ByteCursor(line)
        cursor.skip { $0.isSpace }
        while cursor.skip(UInt8(ascii: "[")) {
            guard startSection(&cursor) else { return }
            cursor.skip { $0.isSpace }
        }
        switch cursor.peek {
        case nil, UInt8(ascii: ";"), UInt8(ascii: "#"): return
        case UInt8(ascii: "%"):
            guard cursor.skip(bytes: Array("%include".utf8)), let blank = cursor.peek, blank.isBlank else {
                return report(.syntax, expected: "expected %include FILE")
            }
            cursor.skip { $0.isBlank }
            include(cursor.takeRest().trimmedAtEnd, reader)
        default: assign(&cursor)
        }
    }

    private mutating func startSection(_ cursor: inout ByteCursor) -> Bool {
        let name = cursor.take { $0 != UInt8(ascii: "]") }
        guard cursor.skip(UInt8(ascii: "]")) else {
            report(.syntax, expected: "expected ] after the name of the section \"\(name.quotable)\"")
            return false
        }
        sections.append(Section(name: name, place: place))
        return true
    }

    private mutating func assign(_ cursor: inout ByteCursor) {
        guard let key = key(&cursor) else { return }
        cursor.skip { $0.isBlank }
        guard cursor.skip(UInt8(ascii: "=")) else {
            return report(.syntax, expected: "expected = after \"\(key.quotable)\"")
        }
        cursor.skip { $0.isBlank }
        let value = cursor.takeRest().trimmedAtEnd
        entries.append(Entry(section: sections.last?.name, key: key, value: value, place: place))
    }

    /// A name: plain, 'with anything but this quote', or "with "" for this quote".
    private mutating func key(_ cursor: inout ByteCursor) -> ByteString? {
        var name: [UInt8] = []
        if cursor.skip(UInt8(ascii: "'")) {
            name = cursor.take { $0 != UInt8(ascii: "'") }.bytes
            guard cursor.skip(UInt8(ascii: "'")) else {
                report(.syntax, expected: "expected ' after the name")
                return nil
            }
        } else if cursor.skip(UInt8(ascii: "\"")) {
            repeat {
                name += cursor.take { $0 != UInt8(ascii: "\"") }.bytes
                guard cursor.skip(UInt8(ascii: "\"")) else {
                    report(.syntax, expected: "expected \" after the name")
                    return nil
                }
                if cursor.peek == UInt8(ascii: "\"") { name.append(UInt8(ascii: "\"")) }
            } while cursor.skip(UInt8(ascii: "\""))
        } else {
            name = cursor.take { $0.isPlainKey }.bytes
        }
        if name.isEmpty {
            report(
                .syntax, expected: "expected a name; other characters than A-Z a-z 0-9 _ . - * need quotes")
            return nil
        }
        return ByteString(name)
    }
}
