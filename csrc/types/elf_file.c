// SPDX-License-Identifier: LGPL-2.1-or-later
#include "types/elf_file.h"

#include <elfutils/libdwelf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bits.h"

/* linux_banner is a few hundred bytes. */
#define BANNER_MAX 4096

/* What a file that is no ELF file may be instead. */
static struct pa_error *not_elf(int fd, const char *path)
{
	/* The x86 boot protocol's header (Documentation/arch/x86/boot.rst). */
	uint8_t setup[0x206];

	if (pread(fd, setup, sizeof(setup), 0) == (ssize_t)sizeof(setup) &&
	    !memcmp(setup + 0x202, "HdrS", 4))
		return pa_error_create(
			PA_ERROR_UNSUPPORTED,
			"%s is a compressed kernel image (vmlinuz) without debug information; the vmlinux of the kernel's debug package is needed",
			path);
	return pa_error_create(
		PA_ERROR_FORMAT,
		"%s is not an ELF file, so it can't be a vmlinux", path);
}

static struct pa_error *check_header(Elf *elf, const char *path)
{
	GElf_Ehdr ehdr;

	if (!gelf_getehdr(elf, &ehdr))
		return pa_error_create(PA_ERROR_FORMAT,
				       "%s is a damaged ELF file: %s", path,
				       elf_errmsg(-1));
	if (ehdr.e_ident[EI_CLASS] != ELFCLASS64 ||
	    ehdr.e_ident[EI_DATA] != ELFDATA2LSB)
		return pa_error_create(
			PA_ERROR_UNSUPPORTED,
			"%s is not a 64-bit little-endian ELF file", path);
	switch (ehdr.e_type) {
	case ET_EXEC:
	case ET_DYN:
		return NULL;
	case ET_CORE:
		return pa_error_create(PA_ERROR_UNSUPPORTED,
				       "%s is a core dump, not a vmlinux",
				       path);
	case ET_REL:
		return pa_error_create(
			PA_ERROR_UNSUPPORTED,
			"%s is a kernel module or object file; the vmlinux has to be given first",
			path);
	default:
		return pa_error_create(PA_ERROR_UNSUPPORTED,
				       "%s is an ELF file of an unknown type",
				       path);
	}
}

struct pa_error *pa_elf_file_open(const char *path, struct pa_elf_file *ret)
{
	if (elf_version(EV_CURRENT) == EV_NONE)
		return pa_error_create(PA_ERROR_UNSUPPORTED, "libelf: %s",
				       elf_errmsg(-1));

	pa_auto_elf_file struct pa_elf_file file = { .fd = -1, .path = path };
	struct stat st;

	/* O_NONBLOCK: a FIFO is refused below, not waited for. */
	file.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (file.fd < 0 || fstat(file.fd, &st))
		return pa_error_os(errno, path);
	if (!S_ISREG(st.st_mode))
		return pa_error_create(PA_ERROR_FORMAT,
				       "%s is not a regular file", path);
	/* Mapped privately: libdw reads what it needs, and writes nothing. */
	file.elf = elf_begin(file.fd, ELF_C_READ_MMAP, NULL);
	if (!file.elf)
		return pa_error_create(PA_ERROR_FORMAT, "%s: %s", path,
				       elf_errmsg(-1));
	if (elf_kind(file.elf) != ELF_K_ELF)
		return not_elf(file.fd, path);

	struct pa_error *err = check_header(file.elf, path);

	if (err)
		return err;
	*ret = file;
	file = (struct pa_elf_file){ .fd = -1 };
	return NULL;
}

void pa_elf_file_deinit(struct pa_elf_file *file)
{
	elf_end(file->elf);
	if (file->fd >= 0)
		close(file->fd);
}

void pa_elf_file_build_id(const struct pa_elf_file *file,
			  char ret[PA_BUILD_ID_TEXT_MAX])
{
	const void *id;
	ssize_t length = dwelf_elf_gnu_build_id(file->elf, &id);

	ret[0] = '\0';
	if (length <= 0 || length > PA_BUILD_ID_MAX)
		return;
	for (ssize_t i = 0; i < length; i++)
		snprintf(ret + 2 * i, 3, "%02x", ((const uint8_t *)id)[i]);
}

struct symbol_table {
	Elf_Data *symbols;
	size_t nr;
	/* Section index of the names. */
	size_t names;
};

static struct pa_error *find_symbol_table(const struct pa_elf_file *file,
					  struct symbol_table *ret)
{
	Elf_Scn *scn = NULL;

	while ((scn = elf_nextscn(file->elf, scn))) {
		GElf_Shdr shdr;

		if (!gelf_getshdr(scn, &shdr) || shdr.sh_type != SHT_SYMTAB)
			continue;

		Elf_Data *data = elf_getdata(scn, NULL);

		if (!data || !data->d_buf)
			continue;
		ret->symbols = data;
		ret->nr = data->d_size / sizeof(Elf64_Sym);
		ret->names = shdr.sh_link;
		return NULL;
	}
	return pa_error_create(
		PA_ERROR_MISSING,
		"%s has no symbol table (it was stripped); the vmlinux of the kernel's debug package is needed",
		file->path);
}

struct pa_error *pa_elf_file_symbols(const struct pa_elf_file *file,
				     const struct pa_wanted *wanted,
				     struct pa_layout *layout)
{
	struct symbol_table table = {};
	struct pa_error *err = find_symbol_table(file, &table);
	bool global[PA_NR_SYMBOLS] = {};

	if (err)
		return err;
	for (size_t i = 0; i < table.nr; i++) {
		GElf_Sym sym;

		if (!gelf_getsym(table.symbols, (int)i, &sym) ||
		    sym.st_shndx == SHN_UNDEF ||
		    GELF_ST_TYPE(sym.st_info) == STT_FILE ||
		    GELF_ST_TYPE(sym.st_info) == STT_SECTION)
			continue;

		const char *name =
			elf_strptr(file->elf, table.names, sym.st_name);
		int id = name ? pa_wanted_find_symbol(wanted, name) : -1;
		int whole = name ? pa_wanted_find_piece(wanted, name) : -1;

		if (whole >= 0)
			pa_layout_offer_piece(layout, whole, sym.st_value,
					      sym.st_size);
		if (id < 0)
			continue;

		/* As kallsyms tells them apart: local, or not. */
		bool is_global = GELF_ST_BIND(sym.st_info) != STB_LOCAL;

		pa_layout_offer_symbol(layout, id, sym.st_value, sym.st_size,
				       is_global, &global[id]);
	}
	return NULL;
}

void pa_layout_slide(struct pa_layout *layout, uint64_t kaslr_offset)
{
	for (int i = 0; i < PA_NR_SYMBOLS; i++) {
		struct pa_symbol *symbol = &layout->symbols[i];

		/* The kernel's half of the address space has the top bit. */
		if (symbol->known && symbol->address >> 63)
			symbol->address += kaslr_offset;
		for (int j = 0; j < PA_NR_PIECES; j++)
			if (symbol->pieces[j].size)
				symbol->pieces[j].address += kaslr_offset;
	}
}

struct pa_error *pa_elf_build_id(const char *path,
				 char ret[PA_BUILD_ID_TEXT_MAX])
{
	pa_auto_elf_file struct pa_elf_file file = { .fd = -1 };
	struct pa_error *err = pa_elf_file_open(path, &file);

	if (err)
		return err;
	pa_elf_file_build_id(&file, ret);
	return NULL;
}

/* The address of linux_banner, 0 if there is none. */
static uint64_t banner_address(const struct pa_elf_file *file,
			       const struct symbol_table *table)
{
	for (size_t i = 0; i < table->nr; i++) {
		GElf_Sym sym;

		if (!gelf_getsym(table->symbols, (int)i, &sym))
			continue;

		const char *name =
			elf_strptr(file->elf, table->names, sym.st_name);

		if (name && !strcmp(name, "linux_banner"))
			return sym.st_value;
	}
	return 0;
}

/* The string at @address, in whichever section holds its bytes. */
static char *string_at(const struct pa_elf_file *file, uint64_t address)
{
	Elf_Scn *scn = NULL;

	while ((scn = elf_nextscn(file->elf, scn))) {
		GElf_Shdr shdr;

		if (!gelf_getshdr(scn, &shdr) || !(shdr.sh_flags & SHF_ALLOC) ||
		    shdr.sh_type == SHT_NOBITS || address < shdr.sh_addr ||
		    address - shdr.sh_addr >= shdr.sh_size)
			continue;

		uint64_t offset = address - shdr.sh_addr;
		Elf_Data *data = elf_rawdata(scn, NULL);

		if (!data || !data->d_buf || data->d_size <= offset)
			continue;
		return strndup((const char *)data->d_buf + offset,
			       pa_min(data->d_size - offset, BANNER_MAX));
	}
	return NULL;
}

struct pa_error *pa_elf_linux_banner(const char *path, char **ret,
				     uint64_t *address_ret)
{
	pa_auto_elf_file struct pa_elf_file file = { .fd = -1 };
	struct pa_error *err = pa_elf_file_open(path, &file);
	struct symbol_table table = {};

	if (!err)
		err = find_symbol_table(&file, &table);
	if (err)
		return err;

	uint64_t address = banner_address(&file, &table);

	*address_ret = address;
	*ret = address ? string_at(&file, address) : NULL;
	return NULL;
}
