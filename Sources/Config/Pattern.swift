public import Primitives

/// A regular expression of an HBA or ident file, as PostgreSQL writes them: `. [] () (?:) | * + ? {m,n} ^ $`,
/// `\d \s \w` and their opposites.
///
/// It works on bytes and in time proportional to text and pattern: a name that a stranger chose cannot make
/// it slow. What it does not know (back-references, look-ahead, non-greedy repetition) is refused.
public struct Pattern: Equatable, Sendable {
    /// Why a text is no pattern, as the end of a sentence.
    public struct Problem: Error, Equatable, Sendable { public let text: String }

    /// Most instructions of one pattern, repetitions written out.
    private static let instructionLimit = 10_000
    /// Most groups inside one another.
    private static let depthLimit = 50
    /// As in PostgreSQL.
    private static let repetitionLimit = 255

    fileprivate enum Instruction: Equatable, Sendable {
        /// One byte of this set.
        case bytes(ByteSet)
        /// Both ways are open; the first is preferred.
        case split(Int, Int)
        case jump(Int)
        case start, end
        /// A place is noted: the beginning (0) or the end (1) of the first group.
        case note(Int)
        case match
    }

    private var program: [Instruction] = []
    public private(set) var groups = 0

    public init(_ text: ByteString) throws(Problem) {
        var compiler = Compiler(text)
        program = try compiler.compile()
        groups = compiler.groups
    }

    // MARK: Matching

    public struct Match: Equatable, Sendable {
        /// What the first pair of parentheses matched; `nil` when it took no part.
        public let firstGroup: ByteString?
    }

    private struct Thread {
        var place: Int
        var from: Int
        var to: Int
    }

    /// The first match anywhere in the text; `nil` for none.
    public func match(_ text: ByteString) -> Match? {
        var current: [Thread] = []
        var found: Match?
        var seen = [Int](repeating: -1, count: program.count)
        let bytes = text.bytes
        for offset in 0...bytes.count {
            if found == nil {
                follow(Thread(place: 0, from: -1, to: -1), offset, bytes.count, &current, &seen)
            }
            var next: [Thread] = []
            var seenNext = seen
            for thread in current {
                switch program[thread.place] {
                case .match:
                    let isNoted = thread.from >= 0 && thread.to >= thread.from
                    found = Match(
                        firstGroup: isNoted ? ByteString(Array(bytes[thread.from..<thread.to])) : nil)
                case .bytes(let set):
                    if offset < bytes.count, set.contains(bytes[offset]) {
                        var moved = thread
                        moved.place += 1
                        follow(moved, offset + 1, bytes.count, &next, &seenNext)
                    }
                    continue
                case .split, .jump, .start, .end, .note: continue
                }
                // What comes later in the list is liked less than this match.
                break
            }
            current = next
            seen = seenNext
            if current.isEmpty, found != nil { break }
        }
        return found
    }

    /// Adds everything that can be reached without reading a byte.
    private func follow(
        _ first: Thread, _ offset: Int, _ count: Int, _ list: inout [Thread], _ seen: inout [Int]
    ) {
        var open = [first]
        while var thread = open.popLast() {
            if seen[thread.place] == offset { continue }
            seen[thread.place] = offset
            switch program[thread.place] {
            case .bytes, .match:
                list.append(thread)
            case .jump(let place):
                thread.place = place
                open.append(thread)
            case .split(let first, let second):
                var other = thread
                other.place = second
                thread.place = first
                open.append(other)
                open.append(thread)
            case .start:
                thread.place += 1
                if offset == 0 { open.append(thread) }
            case .end:
                thread.place += 1
                if offset == count { open.append(thread) }
            case .note(let which):
                if which == 0 { thread.from = offset } else { thread.to = offset }
                thread.place += 1
                open.append(thread)
            }
        }
    }
}

/// Which of the 256 bytes.
struct ByteSet: Equatable, Sendable {
    private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    static let all = ByteSet { _ in true }
    static let digits = ByteSet { $0.isDigit }
    static let spaces = ByteSet { $0.isSpace }
    static let letters = ByteSet { $0.isDigit || (0x61...0x7A).contains($0.asciiLowercased) || $0 == 0x5F }

    init(_ holds: (UInt8) -> Bool = { _ in false }) {
        for byte in UInt8.min...UInt8.max where holds(byte) { insert(byte) }
    }

    static func == (a: ByteSet, b: ByteSet) -> Bool { a.words == b.words }

    func contains(_ byte: UInt8) -> Bool {
        let bit = UInt64(1) << UInt64(byte & 63)
        switch byte >> 6 {
        case 0: return words.0 & bit != 0
        case 1: return words.1 & bit != 0
        case 2: return words.2 & bit != 0
        default: return words.3 & bit != 0
        }
    }

    mutating func insert(_ byte: UInt8) {
        let bit = UInt64(1) << UInt64(byte & 63)
        switch byte >> 6 {
        case 0: words.0 |= bit
        case 1: words.1 |= bit
        case 2: words.2 |= bit
        default: words.3 |= bit
        }
    }

    var inverted: ByteSet { ByteSet { !contains($0) } }
    func union(_ other: ByteSet) -> ByteSet { ByteSet { contains($0) || other.contains($0) } }
}

extension Pattern {
    /// Reads the text of a pattern, from the outside in.
    private struct Compiler {
        private var cursor: ByteCursor
        var groups = 0
        private var depth = 0

        init(_ text: ByteString) { cursor = ByteCursor(text) }

        mutating func compile() throws(Problem) -> [Instruction] {
            let body = try alternatives()
            guard cursor.atEnd else { throw Problem(text: "unbalanced parenthesis in a regular expression") }
            return body + [.match]
        }

        private mutating func alternatives() throws(Problem) -> [Instruction] {
            var code = try sequence()
            while cursor.skip(UInt8(ascii: "|")) {
                let other = try sequence()
                code =
                    [.split(1, code.count + 2)] + code.moved(by: 1) + [.jump(code.count + 2 + other.count)]
                    + other.moved(by: code.count + 2)
            }
            return code
        }

        private mutating func sequence() throws(Problem) -> [Instruction] {
            var code: [Instruction] = []
            while let byte = cursor.peek, byte != UInt8(ascii: "|"), byte != UInt8(ascii: ")") {
                let piece = try repeated(atom())
                code += piece.moved(by: code.count)
                if code.count > instructionLimit { throw Problem(text: "a regular expression is too large") }
            }
            return code
        }

        private mutating func atom() throws(Problem) -> [Instruction] {
            switch cursor.next() {
            case UInt8(ascii: "."): return [.bytes(.all)]
            case UInt8(ascii: "^"): return [.start]
            case UInt8(ascii: "$"): return [.end]
            case UInt8(ascii: "("): return try group()
            case UInt8(ascii: "["): return [.bytes(try bracket())]
            case UInt8(ascii: "\\"): return [.bytes(try escape())]
            case UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "?"), UInt8(ascii: "{"):
                throw Problem(text: "a regular expression repeats nothing")
            case let byte?: return [.bytes(ByteSet { $0 == byte })]
            case nil: return []
            }
        }

        private mutating func group() throws(Problem) -> [Instruction] {
            depth += 1
            defer { depth -= 1 }
            if depth > depthLimit { throw Problem(text: "a regular expression has too many parentheses") }
            var isFirst = false
            if cursor.skip(UInt8(ascii: "?")) {
                guard cursor.skip(UInt8(ascii: ":")) else {
                    throw Problem(text: "a regular expression uses (? for more than (?: )")
                }
            } else {
                groups += 1
                isFirst = groups == 1
            }
            let body = try alternatives()
            guard cursor.skip(UInt8(ascii: ")")) else {
                throw Problem(text: "unbalanced parenthesis in a regular expression")
            }
            return isFirst ? [.note(0)] + body.moved(by: 1) + [.note(1)] : body
        }

        private mutating func escape() throws(Problem) -> ByteSet {
            guard let byte = cursor.next() else {
                throw Problem(text: "a regular expression ends in a backslash")
            }
            switch byte {
            case UInt8(ascii: "d"): return .digits
            case UInt8(ascii: "D"): return ByteSet.digits.inverted
            case UInt8(ascii: "s"): return .spaces
            case UInt8(ascii: "S"): return ByteSet.spaces.inverted
            case UInt8(ascii: "w"): return .letters
            case UInt8(ascii: "W"): return ByteSet.letters.inverted
            default:
                if byte.isDigit || (0x61...0x7A).contains(byte.asciiLowercased) {
                    throw Problem(text: "a regular expression uses an escape that is not available")
                }
                return ByteSet { $0 == byte }
            }
        }

        private mutating func bracket() throws(Problem) -> ByteSet {
            let isInverted = cursor.skip(UInt8(ascii: "^"))
            var set = ByteSet()
            var isFirst = true
            while true {
                guard let byte = cursor.next() else {
                    throw Problem(text: "a regular expression has an open bracket")
                }
                if byte == UInt8(ascii: "]"), !isFirst { return isInverted ? set.inverted : set }
                isFirst = false
                if byte == UInt8(ascii: "\\") {
                    set = set.union(try escape())
                    continue
                }
                if byte == UInt8(ascii: "["), cursor.peek == UInt8(ascii: ":") {
                    throw Problem(text: "a regular expression uses a class such as [:alpha:]")
                }
                guard byte < 0x80 else {
                    throw Problem(text: "a regular expression has letters outside ASCII in brackets")
                }
                var last = byte
                var ahead = cursor
                if ahead.skip(UInt8(ascii: "-")), let end = ahead.next(), end != UInt8(ascii: "]") {
                    guard end >= byte, end < 0x80, end != UInt8(ascii: "\\") else {
                        throw Problem(text: "a regular expression has a range that is not in order")
                    }
                    last = end
                    cursor = ahead
                }
                set = set.union(ByteSet { $0 >= byte && $0 <= last })
            }
        }

        // MARK: Repetition

        private mutating func repeated(_ piece: [Instruction]) throws(Problem) -> [Instruction] {
            let bounds: (least: Int, most: Int?)
            switch cursor.peek {
            case UInt8(ascii: "*"): bounds = (0, nil)
            case UInt8(ascii: "+"): bounds = (1, nil)
            case UInt8(ascii: "?"): bounds = (0, 1)
            case UInt8(ascii: "{"):
                bounds = try counts()
            default: return piece
            }
            _ = cursor.next()
            if let next = cursor.peek,
                [UInt8(ascii: "?"), UInt8(ascii: "*"), UInt8(ascii: "+")].contains(next)
            {
                throw Problem(text: "a regular expression repeats a repetition")
            }
            return try written(piece, least: bounds.least, most: bounds.most)
        }

        /// `{m}`, `{m,}` or `{m,n}`; the closing brace is left.
        private mutating func counts() throws(Problem) -> (least: Int, most: Int?) {
            _ = cursor.next()
            let wrong = Problem(text: "a regular expression has braces that are no {m,n}")
            func number(_ digits: ByteString) throws(Problem) -> Int {
                guard let value = Numbers.decimal(digits), value <= repetitionLimit else { throw wrong }
                return Int(value)
            }
            let least = try number(cursor.take { $0.isDigit })
            var most: Int? = least
            if cursor.skip(UInt8(ascii: ",")) {
                let digits = cursor.take { $0.isDigit }
                most = digits.isEmpty ? nil : try number(digits)
            }
            guard cursor.peek == UInt8(ascii: "}"), most.map({ $0 >= least }) ?? true else { throw wrong }
            return (least, most)
        }

        private func written(
            _ piece: [Instruction], least: Int, most: Int?
        ) throws(Problem) -> [Instruction] {
            if piece.count * max(1, max(least, most ?? least)) > instructionLimit {
                throw Problem(text: "a regular expression is too large")
            }
            var code: [Instruction] = []
            for _ in 0..<least { code += piece.moved(by: code.count) }
            if let most {
                for _ in 0..<(most - least) {
                    let start = code.count
                    code += [.split(start + 1, start + 1 + piece.count)] + piece.moved(by: start + 1)
                }
            } else {
                let start = code.count
                code +=
                    [.split(start + 1, start + 2 + piece.count)] + piece.moved(by: start + 1) + [.jump(start)]
            }
            return code
        }
    }
}

extension [Pattern.Instruction] {
    /// The same code at another place.
    fileprivate func moved(by distance: Int) -> Self {
        map {
            switch $0 {
            case .split(let first, let second): .split(first + distance, second + distance)
            case .jump(let place): .jump(place + distance)
            case .bytes, .start, .end, .note, .match: $0
            }
        }
    }
}
