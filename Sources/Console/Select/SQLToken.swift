import Primitives
import Session

/// A word, a sign or a literal of a SELECT, and where it stands.
struct SQLToken: Equatable {
    enum Kind: Equatable {
        /// A name or keyword without quotes, in lower case.
        case word(ByteString)
        /// A name in double quotes, as it is.
        case quoted(ByteString)
        case number(ByteString)
        case string(ByteString)
        /// `$1` is 1.
        case parameter(Int)
        case symbol(StaticSymbol)
        case end
    }

    /// Signs, the longer ones first where one starts with another.
    enum StaticSymbol: String, CaseIterable {
        case cast = "::"
        case concatenation = "||"
        case lessOrEqual = "<="
        case greaterOrEqual = ">="
        case notEqual = "<>"
        case bangEqual = "!="
        case equal = "="
        case less = "<"
        case greater = ">"
        case plus = "+"
        case minus = "-"
        case times = "*"
        case over = "/"
        case percent = "%"
        case open = "("
        case close = ")"
        case comma = ","
        case dot = "."
        case semicolon = ";"
    }

    let kind: Kind
    /// Offset of its first byte.
    let place: Int
    /// As it was written.
    let text: ByteString

    func isWord(_ word: ByteString) -> Bool { kind == .word(word) }
}

/// Cuts a text into tokens (manual: "Lexical Structure").
struct SQLLexer {
    private let bytes: [UInt8]
    private var place = 0

    static func tokens(of text: ByteString) throws(SelectError) -> [SQLToken] {
        guard text.count <= Limits.selectBytes else {
            throw SelectError("54000", "a SELECT may have \(Limits.selectBytes) bytes here")
        }
        var lexer = SQLLexer(text)
        var tokens: [SQLToken] = []
        repeat { tokens.append(try lexer.next()) } while tokens.last?.kind != .end
        return tokens
    }

    /// The first word of a text, in lower case, if it begins with one.
    static func firstWord(of text: ByteString) -> ByteString? {
        var lexer = SQLLexer(ByteString(Array(text.bytes.prefix(Limits.selectBytes))))
        guard let token = try? lexer.next(), case .word(let word) = token.kind else { return nil }
        return word
    }

    private init(_ text: ByteString) { bytes = text.bytes }

    private var peek: UInt8? { place < bytes.count ? bytes[place] : nil }
    private var second: UInt8? { place + 1 < bytes.count ? bytes[place + 1] : nil }

    private mutating func next() throws(SelectError) -> SQLToken {
        try skipBlank()
        let start = place
        let kind = try kind()
        return SQLToken(kind: kind, place: start, text: ByteString(Array(bytes[start..<place])))
    }

    private mutating func kind() throws(SelectError) -> SQLToken.Kind {
        guard let byte = peek else { return .end }
        if byte == UInt8(ascii: "'") { return .string(try quoted(escapes: false)) }
        if byte | 0x20 == UInt8(ascii: "e"), second == UInt8(ascii: "'") {
            place += 1
            return .string(try quoted(escapes: true))
        }
        if byte == UInt8(ascii: "\"") { return .quoted(try quoted(escapes: false)) }
        if byte == UInt8(ascii: "$"), let digit = second, Self.isDigit(digit) {
            place += 1
            let digits = take(Self.isDigit)
            guard digits.count <= 5, let number = Int(digits.lossyText) else {
                throw SelectError("42P02", "there is no parameter $\(digits.lossyText)", at: place)
            }
            return .parameter(number)
        }
        if Self.isDigit(byte) || byte == UInt8(ascii: "."),
            second.map(Self.isDigit) ?? false || Self.isDigit(byte)
        {
            return try number()
        }
        if Self.isNameByte(byte) { return .word(take(Self.isNameByte).lowercased) }
        for symbol in SQLToken.StaticSymbol.allCases {
            let wanted = Array(symbol.rawValue.utf8)
            if bytes[place...].starts(with: wanted) {
                place += wanted.count
                return .symbol(symbol)
            }
        }
        let sign = ByteString([byte]).lossyText
        throw SelectError("42601", "syntax error at or near \"\(sign)\"", at: place)
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        byte.isIdentifierByte && byte != UInt8(ascii: ".") || byte >= 0x80
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

    private mutating func take(_ holds: (UInt8) -> Bool) -> ByteString {
        let start = place
        while let byte = peek, holds(byte) { place += 1 }
        return ByteString(Array(bytes[start..<place]))
    }

    private mutating func number() throws(SelectError) -> SQLToken.Kind {
        let start = place
        _ = take(Self.isDigit)
        if peek == UInt8(ascii: ".") {
            place += 1
            _ = take(Self.isDigit)
        }
        if let byte = peek, byte.isIdentifierByte {
            let text = ByteString(Array(bytes[start...place])).lossyText
            throw SelectError(
                "42601", "trailing junk after numeric literal at or near \"\(text)\"", at: start)
        }
        return .number(ByteString(Array(bytes[start..<place])))
    }

    /// A text in quotes, in which the quote stands twice; with `escapes`, a backslash also quotes.
    private mutating func quoted(escapes: Bool) throws(SelectError) -> ByteString {
        let start = place
        let quote = bytes[place]
        place += 1
        var text: [UInt8] = []
        while let byte = peek {
            place += 1
            if byte == quote {
                guard peek == quote else { return ByteString(text) }
                place += 1
            } else if escapes, byte == UInt8(ascii: "\\"), let escaped = peek {
                place += 1
                text.append(Self.unescaped(escaped))
                continue
            }
            text.append(byte)
        }
        let what = quote == UInt8(ascii: "'") ? "string" : "identifier"
        throw SelectError("42601", "unterminated quoted \(what)", at: start)
    }

    private static func unescaped(_ byte: UInt8) -> UInt8 {
        switch byte {
        case UInt8(ascii: "n"): 0x0A
        case UInt8(ascii: "t"): 0x09
        case UInt8(ascii: "r"): 0x0D
        default: byte
        }
    }

    /// White space and comments; comments of the second kind nest.
    private mutating func skipBlank() throws(SelectError) {
        while let byte = peek {
            if byte == 0x20 || (byte >= 0x09 && byte <= 0x0D) {
                place += 1
            } else if byte == UInt8(ascii: "-"), second == UInt8(ascii: "-") {
                while let byte = peek, byte != 0x0A, byte != 0x0D { place += 1 }
            } else if byte == UInt8(ascii: "/"), second == UInt8(ascii: "*") {
                try skipComment()
            } else {
                return
            }
        }
    }

    private mutating func skipComment() throws(SelectError) {
        let start = place
        var depth = 0
        repeat {
            guard let byte = peek, let after = second else {
                throw SelectError("42601", "unterminated /* comment", at: start)
            }
            if byte == UInt8(ascii: "/"), after == UInt8(ascii: "*") {
                depth += 1
                place += 2
            } else if byte == UInt8(ascii: "*"), after == UInt8(ascii: "/") {
                depth -= 1
                place += 2
            } else {
                place += 1
            }
        } while depth > 0
    }
}

extension ByteString {
    /// ASCII letters in lower case.
    var lowercased: ByteString { ByteString(bytes.map { $0 >= 0x41 && $0 <= 0x5A ? $0 | 0x20 : $0 }) }
}
