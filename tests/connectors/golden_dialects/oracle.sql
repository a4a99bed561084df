select to_char(t."number ""0]", 'TM9', 'NLS_NUMERIC_CHARACTERS=''.,''') as banyan_0, t."varchar2 ""1]" as banyan_1, ltrim(to_char(t."date ""2]", 'SYYYY-MM-DD HH24:MI:SS')) as banyan_2, ltrim(to_char(t."timestamp ""3]", 'SYYYY-MM-DD HH24:MI:SS.FF9')) as banyan_3, ltrim(to_char(t."timestamp ""4]", 'SYYYY-MM-DD HH24:MI:SS.FF9 TZH:TZM')) as banyan_4, to_char(t."binary_double ""5]", 'TM9', 'NLS_NUMERIC_CHARACTERS=''.,''') as banyan_5, t."clob ""6]" as banyan_6, rawtohex(t."raw ""7]") as banyan_7 from "ORION"."T PROC" t where (t."number ""0]" > cast(? as number) or t."number ""0]" = cast(? as number) and t."varchar2 ""1]" > ?) and (t."number ""0]" < cast(? as number) or t."number ""0]" = cast(? as number) and t."varchar2 ""1]" <= ?)
-- ['5', '5', 'a', '90', '90', 'z']

select to_char(t."number ""0]", 'TM9', 'NLS_NUMERIC_CHARACTERS=''.,''') as banyan_0, t."varchar2 ""1]" as banyan_1 from "ORION"."T PROC" t where (t."number ""0]" > cast(? as number) or t."number ""0]" = cast(? as number) and t."varchar2 ""1]" > ?) order by t."number ""0]", t."varchar2 ""1]" offset 999 rows fetch next 1 rows only
-- ['5', '5', 'a']

select to_char(t."number ""0]", 'TM9', 'NLS_NUMERIC_CHARACTERS=''.,''') as banyan_0, t."varchar2 ""1]" as banyan_1, ltrim(to_char(t."date ""2]", 'SYYYY-MM-DD HH24:MI:SS')) as banyan_2, ltrim(to_char(t."timestamp ""3]", 'SYYYY-MM-DD HH24:MI:SS.FF9')) as banyan_3, ltrim(to_char(t."timestamp ""4]", 'SYYYY-MM-DD HH24:MI:SS.FF9 TZH:TZM')) as banyan_4, to_char(t."binary_double ""5]", 'TM9', 'NLS_NUMERIC_CHARACTERS=''.,''') as banyan_5, t."clob ""6]" as banyan_6, rawtohex(t."raw ""7]") as banyan_7 from "ORION"."T PROC" t where (t."number ""0]" = cast(? as number) and t."varchar2 ""1]" = ?) or (t."number ""0]" = cast(? as number) and t."varchar2 ""1]" = ?)
-- ['5', 'a', '6', 'b']

select count(*) from "ORION"."T PROC"
-- []
