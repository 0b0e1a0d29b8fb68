import Config
import Primitives
import Testing

@Suite struct IniFileTests {
    private func read(_ texts: [ByteString: ByteString]) -> IniFile {
        IniFile.read("a", with: Files(texts).read)
    }

    private func lines(_ ini: IniFile) -> [String] {
        ini.entries.map { entry in
            "\(entry.section?.lossyText ?? "-") \(entry.key.lossyText)=\(entry.value.lossyText) "
                + "\(entry.place.file.lossyText):\(entry.place.line)"
        }
    }

    @Test func sectionsKeysAndValues() {
        let ini = read([
            "a": """
            ; comment
              # another
            [one]
            key = value ; not a comment
              Spaced.key-1*   =   two words  \t
            empty =
            [two] ; behind
            k=v=w
            [one]
            again = 1
            """
        ])
        #expect(ini.errors.isEmpty)
        #expect(ini.sections.map(\.name) == ["one", "two", "one"])
        #expect(
            lines(ini) == [
                "one key=value ; not a comment a:4", "one Spaced.key-1*=two words a:5", "one empty= a:6",
                "two k=v=w a:8", "one again=1 a:10",
            ])
    }

    @Test func quotedKeys() {
        let ini = read(["a": "[d]\n'my db' = 1\n\"say \"\"hi\"\"\" = 2\n'caf\u{e9}'=3"])
        #expect(ini.errors.isEmpty)
        #expect(ini.entries.map(\.key) == ["my db", "say \"hi\"", "caf\u{e9}"])
    }

    @Test func carriageReturnsAndTheByteOrderMark() {
        let ini = read(["a": ByteString([0xEF, 0xBB, 0xBF]) + "[s]\r\nk = v\r\n\r\n\r\nl=w"])
        #expect(ini.errors.isEmpty)
        #expect(lines(ini) == ["s k=v a:2", "s l=w a:5"])
    }

    @Test(
        arguments: [
            ("[s\nk=v", 1, "expected ] after the name of the section \"s\""),
            ("\n\nkey value\n", 3, "expected = after \"key\""),
            ("\n= 5", 2, "expected a name; other characters than A-Z a-z 0-9 _ . - * need quotes"),
            ("[s]\n'open = 5", 2, "expected ' after the name"),
            ("[s]\n\"open = 5", 2, "expected \" after the name"),
            ("[s]\n'' = 5", 2, "expected a name; other characters than A-Z a-z 0-9 _ . - * need quotes"),
            ("[s]\na\0b = 5", 2, "there is a zero byte in the line"),
            ("[s]\n%includes x", 2, "expected %include FILE"),
            ("[s]\n%include  ", 2, "%include needs the name of a file"),
        ] as [(ByteString, Int, String)])
    func syntaxErrors(text: ByteString, line: Int, expected: String) {
        #expect(
            read(["a": text]).errors.map(\.text) == [
                "syntax error in configuration (a:\(line)), stopping loading: \(expected)"
            ])
    }

    @Test func allSyntaxErrorsAreFound() {
        #expect(read(["a": "x\n[s]\ny\nk=v\nz"]).errors.map(\.line) == [1, 3, 5])
    }

    @Test func includedFilesShareTheSection() {
        let ini = read(["a": "[one]\n%include b\nafter=1\n", "b": "in=1\n[two]\nalso=1"])
        #expect(ini.errors.isEmpty)
        #expect(lines(ini) == ["one in=1 b:1", "two also=1 b:3", "two after=1 a:3"])
    }

    @Test func aMissingIncludeStopsTheLoad() {
        let ini = read(["a": "[one]\n%include b\nafter=1\n"])
        #expect(
            ini.errors.map(\.text) == [
                "could not load file \"b\": No such file or directory",
                "error processing include file in configuration (a:2), stopping loading",
            ])
        #expect(ini.entries.isEmpty)
    }

    @Test func tenIncludesDeepIsTheLimit() {
        var texts: [ByteString: ByteString] = ["a": "%include 1"]
        for depth in 1...9 { texts[ByteString(String(depth))] = ByteString("%include \(depth + 1)") }
        texts["10"] = "[s]"
        #expect(read(texts).errors.isEmpty)
        texts["10"] = "%include 11"
        texts["11"] = "[s]"
        #expect(
            read(texts).errors.map(\.text) == [
                "include nesting level too deep (10:1), stopping loading: at most 10 files inside one another"
            ])
    }

    @Test func filesThatIncludeThemselvesEnd() {
        #expect(read(["a": "%include a\n%include a"]).errors.map(\.kind) == [.includeTooDeep])
        // Not deep enough to be refused for that, but too much text in all.
        var texts: [ByteString: ByteString] = [:]
        let filler = ByteString([UInt8](repeating: 0x0A, count: 8 << 20))
        let names: [ByteString] = ["a", "b", "c", "d", "e", "f", "g", "h", "i"]
        for (name, next) in zip(names, names.dropFirst() + ["j"]) {
            texts[name] = "%include " + next + filler
        }
        #expect(read(texts).errors.map(\.kind) == [.tooLarge, .includeFailed])
    }

    @Test func aLineOfAMebibyteIsRefused() {
        let long = ByteString([UInt8](repeating: 0x61, count: 1 << 20))
        let errors = read(["a": "[s]\nk = " + long + "\n[t"]).errors
        #expect(errors.map(\.line) == [2, 3])
        #expect(errors.allSatisfy { $0.text.utf8.count < 300 })
    }

    @Test func errorsAreBounded() {
        let text =
            ByteString([UInt8](repeating: 0x0A, count: 1))
            + ByteString(String(repeating: "x\n", count: 9_999))
        #expect(read(["a": text]).errors.count == 100)
    }
}
