print("pglido")
